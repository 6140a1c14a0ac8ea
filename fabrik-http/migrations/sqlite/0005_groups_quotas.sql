-- Names that are equal whatever their case, codes for new passwords, content types, quotas. Kept equal to ../postgres by
-- a test; only the types differ.

-- What names are compared by. Databases disagree on what the lower case of a letter is, so the server fills these, also
-- for rows that are there.
DROP INDEX auth_user_username;
DROP INDEX auth_user_email;
DROP INDEX auth_group_name;
ALTER TABLE auth_user ADD COLUMN username_key TEXT;
ALTER TABLE auth_user ADD COLUMN email_key TEXT;
ALTER TABLE auth_group ADD COLUMN name_key TEXT;
CREATE UNIQUE INDEX auth_user_username_key ON auth_user (username_key);
CREATE UNIQUE INDEX auth_user_email_key ON auth_user (email_key) WHERE email_key <> '';
CREATE UNIQUE INDEX auth_group_name_key ON auth_group (name_key);

CREATE TABLE auth_reset_code (
    -- The key: a new code takes the place of an older one.
    user_id BIGINT PRIMARY KEY NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    code_mac BLOB NOT NULL,
    expires_at DATETIME NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE auth_content_type (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app_label TEXT NOT NULL,
    model TEXT NOT NULL
);
CREATE UNIQUE INDEX auth_content_type_model ON auth_content_type (app_label, model);
INSERT INTO auth_content_type (app_label, model) SELECT DISTINCT app_label, model FROM auth_permission;
ALTER TABLE auth_permission ADD COLUMN content_type_id BIGINT REFERENCES auth_content_type (id);
UPDATE auth_permission SET content_type_id = (
    SELECT auth_content_type.id FROM auth_content_type
    WHERE auth_content_type.app_label = auth_permission.app_label AND auth_content_type.model = auth_permission.model
);

CREATE TABLE auth_quota (
    group_id BIGINT PRIMARY KEY NOT NULL REFERENCES auth_group (id) ON DELETE CASCADE,
    max_saved_queries BIGINT NOT NULL,
    max_scheduled_tasks BIGINT NOT NULL,
    max_apic_connections BIGINT NOT NULL,
    max_awx_requests_daily BIGINT NOT NULL,
    max_awx_concurrent BIGINT NOT NULL,
    max_query_results BIGINT NOT NULL,
    max_export_rows BIGINT NOT NULL,
    query_execution_daily BIGINT NOT NULL,
    ai_analysis_daily BIGINT NOT NULL,
    can_create_queries BOOLEAN NOT NULL,
    can_execute_queries BOOLEAN NOT NULL,
    can_create_scheduled BOOLEAN NOT NULL,
    can_use_awx BOOLEAN NOT NULL,
    can_use_time_machine BOOLEAN NOT NULL,
    can_export_data BOOLEAN NOT NULL,
    can_share_resources BOOLEAN NOT NULL,
    can_use_ai_builder BOOLEAN NOT NULL
);

-- What was used of daily quotas, by day in UTC like 2026-03-02.
CREATE TABLE auth_quota_use (
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    quota TEXT NOT NULL,
    day TEXT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (user_id, quota, day)
);
CREATE INDEX auth_quota_use_day ON auth_quota_use (day);
