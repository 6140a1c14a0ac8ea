-- The audit log: each row holds the hash of the one before. Kept equal to ../postgres by a test; only the types differ.
CREATE TABLE audit_log (
    sequence BIGINT PRIMARY KEY NOT NULL,
    id UUID NOT NULL,
    timestamp DATETIME NOT NULL,
    -- No reference: the log outlives users.
    "user" BIGINT,
    username TEXT NOT NULL,
    ip_address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    category TEXT NOT NULL,
    action TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    resource_name TEXT NOT NULL,
    description TEXT NOT NULL,
    metadata TEXT NOT NULL,
    content BLOB,
    content_compressed BOOLEAN NOT NULL,
    content_size BIGINT NOT NULL,
    content_truncated BOOLEAN NOT NULL,
    success BOOLEAN NOT NULL,
    error_message TEXT NOT NULL,
    -- SHA-256 of what the row says; stays when retention takes the rest.
    content_hash BLOB NOT NULL,
    -- SHA-256 of the row before, the sequence, id, time and category, and the content's hash.
    hash BLOB NOT NULL,
    forgotten_at DATETIME
);
CREATE UNIQUE INDEX audit_log_id ON audit_log (id);
CREATE INDEX audit_log_timestamp ON audit_log (timestamp);
CREATE INDEX audit_log_category ON audit_log (category, timestamp);
CREATE INDEX audit_log_user ON audit_log ("user", timestamp);

-- One row: the ends of the chain. Whoever writes to the log locks it.
CREATE TABLE audit_chain (
    id BIGINT PRIMARY KEY NOT NULL,
    first_sequence BIGINT NOT NULL,
    hash_before_first BLOB NOT NULL,
    last_sequence BIGINT NOT NULL,
    last_hash BLOB NOT NULL
);

-- One row: what the log keeps, and for how many days; 0 is for ever.
CREATE TABLE audit_settings (
    id BIGINT PRIMARY KEY NOT NULL,
    user_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    user_management_retention_days BIGINT NOT NULL DEFAULT 365,
    group_permission_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    group_permission_retention_days BIGINT NOT NULL DEFAULT 365,
    login_logout_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    login_logout_retention_days BIGINT NOT NULL DEFAULT 180,
    apic_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    apic_management_retention_days BIGINT NOT NULL DEFAULT 365,
    query_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    query_management_retention_days BIGINT NOT NULL DEFAULT 180,
    query_execution_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    query_execution_retention_days BIGINT NOT NULL DEFAULT 90,
    category_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    category_management_retention_days BIGINT NOT NULL DEFAULT 180,
    task_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    task_management_retention_days BIGINT NOT NULL DEFAULT 180,
    time_machine_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    time_machine_retention_days BIGINT NOT NULL DEFAULT 180,
    awx_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    awx_management_retention_days BIGINT NOT NULL DEFAULT 365,
    awx_automation_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    awx_automation_retention_days BIGINT NOT NULL DEFAULT 180,
    awx_webhook_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    awx_webhook_retention_days BIGINT NOT NULL DEFAULT 30,
    validation_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    validation_retention_days BIGINT NOT NULL DEFAULT 90,
    validation_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    validation_management_retention_days BIGINT NOT NULL DEFAULT 180,
    notification_management_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    notification_management_retention_days BIGINT NOT NULL DEFAULT 90,
    settings_change_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    settings_change_retention_days BIGINT NOT NULL DEFAULT 365,
    system_settings_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    system_settings_retention_days BIGINT NOT NULL DEFAULT 365,
    api_access_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    api_access_retention_days BIGINT NOT NULL DEFAULT 30,
    mim_explorer_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    mim_explorer_retention_days BIGINT NOT NULL DEFAULT 90,
    ai_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    ai_retention_days BIGINT NOT NULL DEFAULT 90,
    max_content_size_mb BIGINT NOT NULL DEFAULT 10,
    compress_large_content BOOLEAN NOT NULL DEFAULT TRUE,
    auto_cleanup_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    cleanup_time_hour BIGINT NOT NULL DEFAULT 3,
    last_cleanup_at DATETIME
);
INSERT INTO audit_settings (id) VALUES (1);
