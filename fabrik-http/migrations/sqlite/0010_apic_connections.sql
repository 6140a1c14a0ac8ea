-- Controllers, how they are reached and by whom. Kept equal to ../postgres by a test; only the types differ.
CREATE TABLE apic_connection (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    -- Scheme, name and port, without a slash at the end.
    host TEXT NOT NULL,
    username TEXT NOT NULL,
    login_domain TEXT NOT NULL DEFAULT '',
    -- The password, sealed for this id, in base64.
    secret TEXT NOT NULL DEFAULT '',
    verify_ssl BOOLEAN NOT NULL DEFAULT TRUE,
    ca_certificate TEXT NOT NULL DEFAULT '',
    timeout BIGINT NOT NULL DEFAULT 30,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    is_public BOOLEAN NOT NULL DEFAULT FALSE,
    is_default BOOLEAN NOT NULL DEFAULT FALSE,
    -- Whose it is; administrators see to what is left of users who are gone.
    owner_id BIGINT REFERENCES auth_user (id) ON DELETE SET NULL,
    last_tested_at DATETIME,
    last_test_status TEXT,
    last_test_message TEXT NOT NULL DEFAULT '',
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE INDEX apic_connection_owner ON apic_connection (owner_id);
CREATE UNIQUE INDEX apic_connection_default ON apic_connection (owner_id) WHERE is_default;

CREATE TABLE apic_connection_share (
    connection_id BIGINT NOT NULL REFERENCES apic_connection (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    PRIMARY KEY (connection_id, user_id)
);
CREATE INDEX apic_connection_share_user ON apic_connection_share (user_id);
