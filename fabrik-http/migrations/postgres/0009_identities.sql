-- Who somebody is elsewhere, and logins under way there. Kept equal to ../sqlite by a test; only the types differ.
CREATE TABLE auth_identity (
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    last_login_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (provider, subject)
);
CREATE INDEX auth_identity_user ON auth_identity (user_id);

CREATE TABLE auth_login_under_way (
    state BYTEA PRIMARY KEY NOT NULL,
    provider TEXT NOT NULL,
    browser BYTEA NOT NULL,
    redirect_uri TEXT NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    next TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX auth_login_under_way_expires ON auth_login_under_way (expires_at);

CREATE TABLE auth_login_code (
    code BYTEA PRIMARY KEY NOT NULL,
    browser BYTEA NOT NULL,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX auth_login_code_expires ON auth_login_code (expires_at);
