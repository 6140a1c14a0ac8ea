-- Second factors, API keys, and tokens that are good once. Kept equal to ../postgres by a test; only the types differ.
CREATE TABLE auth_mfa (
    user_id BIGINT PRIMARY KEY NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    sealed_secret BLOB NOT NULL,
    created_at DATETIME NOT NULL,
    enabled_at DATETIME,
    last_step BIGINT NOT NULL DEFAULT 0,
    backup_salt BLOB NOT NULL
);

CREATE TABLE auth_backup_code (
    user_id BIGINT NOT NULL REFERENCES auth_mfa (user_id) ON DELETE CASCADE,
    code BLOB NOT NULL,
    PRIMARY KEY (user_id, code)
);

CREATE TABLE auth_spent_token (
    id UUID PRIMARY KEY NOT NULL,
    expires_at DATETIME NOT NULL
);
CREATE INDEX auth_spent_token_expires ON auth_spent_token (expires_at);

CREATE TABLE auth_api_key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    scopes JSONB NOT NULL,
    created_at DATETIME NOT NULL,
    expires_at DATETIME,
    last_used_at DATETIME,
    last_used_ip TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX auth_api_key_fingerprint ON auth_api_key (fingerprint);
CREATE INDEX auth_api_key_user ON auth_api_key (user_id);

CREATE TABLE auth_mail_token (
    fingerprint BLOB PRIMARY KEY NOT NULL,
    purpose TEXT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    bound_to BLOB NOT NULL,
    created_at DATETIME NOT NULL,
    expires_at DATETIME NOT NULL
);
CREATE INDEX auth_mail_token_user ON auth_mail_token (user_id, purpose);
CREATE INDEX auth_mail_token_expires ON auth_mail_token (expires_at);

CREATE TABLE auth_reset_request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL,
    created_at DATETIME NOT NULL
);
