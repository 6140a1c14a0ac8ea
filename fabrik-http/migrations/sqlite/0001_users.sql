-- Users, groups, permissions, sessions. Kept equal to ../postgres by a test; only the types differ.
CREATE TABLE auth_user (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL,
    email TEXT NOT NULL DEFAULT '',
    first_name TEXT NOT NULL DEFAULT '',
    last_name TEXT NOT NULL DEFAULT '',
    password TEXT NOT NULL DEFAULT '',
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    is_staff BOOLEAN NOT NULL DEFAULT FALSE,
    is_superuser BOOLEAN NOT NULL DEFAULT FALSE,
    auth_source TEXT NOT NULL DEFAULT 'local',
    email_verified BOOLEAN NOT NULL DEFAULT FALSE,
    date_joined DATETIME NOT NULL,
    last_login DATETIME,
    expires_at DATETIME,
    display_timezone TEXT NOT NULL DEFAULT 'UTC',
    date_format TEXT NOT NULL DEFAULT 'YYYY-MM-DD',
    time_format TEXT NOT NULL DEFAULT '24h',
    session_timeout_minutes BIGINT NOT NULL DEFAULT 480
);
CREATE UNIQUE INDEX auth_user_username ON auth_user (LOWER(username));
CREATE UNIQUE INDEX auth_user_email ON auth_user (LOWER(email)) WHERE email <> '';

CREATE TABLE auth_group (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL
);
CREATE UNIQUE INDEX auth_group_name ON auth_group (LOWER(name));

CREATE TABLE auth_permission (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    codename TEXT NOT NULL,
    name TEXT NOT NULL,
    app_label TEXT NOT NULL,
    model TEXT NOT NULL
);
CREATE UNIQUE INDEX auth_permission_codename ON auth_permission (codename);

CREATE TABLE auth_user_group (
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    group_id BIGINT NOT NULL REFERENCES auth_group (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX auth_user_group_group ON auth_user_group (group_id);

CREATE TABLE auth_user_permission (
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    permission_id BIGINT NOT NULL REFERENCES auth_permission (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, permission_id)
);

CREATE TABLE auth_group_permission (
    group_id BIGINT NOT NULL REFERENCES auth_group (id) ON DELETE CASCADE,
    permission_id BIGINT NOT NULL REFERENCES auth_permission (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, permission_id)
);

CREATE TABLE auth_session (
    id UUID PRIMARY KEY NOT NULL,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    refresh_id UUID NOT NULL,
    created_at DATETIME NOT NULL,
    refreshed_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    revoked_at DATETIME,
    revoked_because TEXT,
    ip_address TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX auth_session_user ON auth_session (user_id);
CREATE INDEX auth_session_expires ON auth_session (expires_at);

CREATE TABLE auth_lockout (
    username TEXT PRIMARY KEY NOT NULL,
    failures BIGINT NOT NULL,
    last_failure_at DATETIME NOT NULL,
    locked_until DATETIME
);

CREATE TABLE server_secret (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL,
    created_at DATETIME NOT NULL
);
