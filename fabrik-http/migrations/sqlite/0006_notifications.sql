-- Notifications, what users want of them, and webhooks. Kept equal to ../postgres by a test; only the types differ.
CREATE TABLE notification (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    "user" BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    -- What was told to several users is one notice; what a user wrote is none.
    notice_id UUID,
    source TEXT,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    related_task_id BIGINT,
    related_execution_id UUID,
    metadata JSONB NOT NULL,
    is_read BOOLEAN NOT NULL DEFAULT FALSE,
    read_at DATETIME,
    created_at DATETIME NOT NULL
);
CREATE INDEX notification_user ON notification ("user", created_at);
CREATE INDEX notification_unread ON notification (created_at) WHERE NOT is_read;
CREATE INDEX notification_notice ON notification (notice_id);

-- The id is that of the user.
CREATE TABLE notification_preference (
    id BIGINT PRIMARY KEY NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    scheduled_task_success BOOLEAN NOT NULL DEFAULT TRUE,
    scheduled_task_failure BOOLEAN NOT NULL DEFAULT TRUE,
    awx_execution_success BOOLEAN NOT NULL DEFAULT TRUE,
    awx_execution_failure BOOLEAN NOT NULL DEFAULT TRUE,
    query_execution_failure BOOLEAN NOT NULL DEFAULT TRUE,
    connection_health BOOLEAN NOT NULL DEFAULT TRUE,
    time_machine_cleanup BOOLEAN NOT NULL DEFAULT TRUE,
    system_maintenance BOOLEAN NOT NULL DEFAULT TRUE,
    in_app_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    email_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    email_min_severity TEXT NOT NULL DEFAULT 'warning',
    quiet_hours_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    quiet_hours_start TEXT NOT NULL DEFAULT '22:00:00',
    quiet_hours_end TEXT NOT NULL DEFAULT '07:00:00',
    digest_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    digest_interval_minutes BIGINT NOT NULL DEFAULT 60
);

-- What is to be mailed to a user, until it is handed to the outbox.
CREATE TABLE notification_mail (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    due_at DATETIME NOT NULL
);
CREATE INDEX notification_mail_due ON notification_mail (due_at);
CREATE INDEX notification_mail_user ON notification_mail (user_id, source);

CREATE TABLE escalation_rule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    min_severity TEXT NOT NULL DEFAULT 'error',
    wait_minutes BIGINT NOT NULL DEFAULT 30,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    created_at DATETIME NOT NULL
);

CREATE TABLE escalation_target (
    rule_id BIGINT NOT NULL REFERENCES escalation_rule (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    PRIMARY KEY (rule_id, user_id)
);

-- Which notice was escalated by which rule: once.
CREATE TABLE escalation (
    notice_id UUID NOT NULL,
    rule_id BIGINT NOT NULL REFERENCES escalation_rule (id) ON DELETE CASCADE,
    escalated_at DATETIME NOT NULL,
    PRIMARY KEY (notice_id, rule_id)
);
CREATE INDEX escalation_escalated ON escalation (escalated_at);

CREATE TABLE webhook (
    id UUID PRIMARY KEY NOT NULL,
    owner_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    -- Sealed, in base64.
    secret TEXT NOT NULL,
    -- A list of names; an empty one stands for all.
    sources JSONB NOT NULL,
    min_severity TEXT NOT NULL DEFAULT 'info',
    all_users BOOLEAN NOT NULL DEFAULT FALSE,
    is_active BOOLEAN NOT NULL DEFAULT TRUE,
    failing_since DATETIME,
    last_success_at DATETIME,
    created_at DATETIME NOT NULL
);
CREATE INDEX webhook_owner ON webhook (owner_id);

CREATE TABLE webhook_delivery (
    id UUID PRIMARY KEY NOT NULL,
    webhook_id UUID NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    event_id UUID NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending',
    tries BIGINT NOT NULL DEFAULT 0,
    next_try_at DATETIME,
    status_code BIGINT,
    duration_ms BIGINT,
    error TEXT NOT NULL DEFAULT '',
    answer TEXT NOT NULL DEFAULT '',
    created_at DATETIME NOT NULL,
    delivered_at DATETIME
);
CREATE INDEX webhook_delivery_webhook ON webhook_delivery (webhook_id, created_at);
CREATE INDEX webhook_delivery_next_try ON webhook_delivery (next_try_at) WHERE status = 'pending';
CREATE INDEX webhook_delivery_created ON webhook_delivery (created_at);
