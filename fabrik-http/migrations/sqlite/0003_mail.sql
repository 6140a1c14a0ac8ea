-- Mail that is to be sent, and that was sent lately. Kept equal to ../postgres by a test; only the types differ.
CREATE TABLE mail_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Empty once it was sent: it may have held a code.
    body TEXT NOT NULL,
    queued_at DATETIME NOT NULL,
    next_try_at DATETIME NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    sent_at DATETIME,
    given_up_at DATETIME,
    last_error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX mail_outbox_next_try ON mail_outbox (next_try_at) WHERE sent_at IS NULL AND given_up_at IS NULL;
CREATE INDEX mail_outbox_queued ON mail_outbox (queued_at);
