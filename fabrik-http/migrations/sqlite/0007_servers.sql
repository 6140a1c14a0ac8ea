-- Tickets of sockets, jobs that are watched, and what servers on one database share. Kept equal to ../postgres by a test;
-- only the types differ.
CREATE TABLE ws_ticket (
    fingerprint BLOB PRIMARY KEY NOT NULL,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    credential_kind TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    expires_at DATETIME NOT NULL
);
CREATE INDEX ws_ticket_expires ON ws_ticket (expires_at);

CREATE TABLE job_channel (
    id UUID PRIMARY KEY NOT NULL,
    owner_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    frames BIGINT NOT NULL DEFAULT 0,
    last_frame TEXT,
    touched_at DATETIME NOT NULL,
    finished_at DATETIME
);
CREATE INDEX job_channel_touched ON job_channel (touched_at);

CREATE TABLE server_message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    sent_at DATETIME NOT NULL
);
CREATE INDEX server_message_sent ON server_message (sent_at);

CREATE TABLE server_throttle (
    bucket TEXT PRIMARY KEY NOT NULL,
    full_at_micros BIGINT NOT NULL
);
CREATE INDEX server_throttle_full ON server_throttle (full_at_micros);
