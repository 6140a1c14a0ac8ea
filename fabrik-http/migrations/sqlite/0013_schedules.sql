-- Tasks that run by a schedule, and what came of each run. Kept equal to ../postgres by a test; only the types differ.
CREATE TABLE scheduled_task (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Null for tasks of the server itself.
    owner_id BIGINT REFERENCES auth_user (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    priority TEXT NOT NULL DEFAULT 'medium',
    "order" BIGINT NOT NULL DEFAULT 0,
    task_type TEXT NOT NULL DEFAULT 'apic_query',
    category TEXT NOT NULL DEFAULT '',
    is_system_task BOOLEAN NOT NULL DEFAULT FALSE,
    system_task_handler TEXT,
    -- No references: a task whose query or connection is gone fails at its next run.
    saved_query BIGINT,
    apic_connection_ids JSONB NOT NULL,
    variable_values JSONB NOT NULL,
    frequency TEXT NOT NULL,
    cron_expression TEXT NOT NULL DEFAULT '',
    minute_of_hour BIGINT NOT NULL DEFAULT 0,
    time_of_day TEXT NOT NULL DEFAULT '00:00:00',
    day_of_week BIGINT NOT NULL DEFAULT 0,
    day_of_month BIGINT NOT NULL DEFAULT 1,
    scheduled_datetime DATETIME,
    timezone TEXT NOT NULL DEFAULT 'UTC',
    auto_capture BOOLEAN NOT NULL DEFAULT FALSE,
    retention_policy TEXT,
    retry_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    retry_count BIGINT NOT NULL,
    retry_interval_minutes BIGINT NOT NULL,
    email_on_success BOOLEAN NOT NULL DEFAULT FALSE,
    email_on_failure BOOLEAN NOT NULL DEFAULT FALSE,
    email_recipients JSONB NOT NULL,
    log_retention_days BIGINT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active',
    last_run_at DATETIME,
    last_run_status TEXT,
    next_run_at DATETIME,
    execution_count BIGINT NOT NULL DEFAULT 0,
    success_count BIGINT NOT NULL DEFAULT 0,
    failure_count BIGINT NOT NULL DEFAULT 0,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE INDEX scheduled_task_due ON scheduled_task (next_run_at);
CREATE INDEX scheduled_task_owner ON scheduled_task (owner_id);
CREATE UNIQUE INDEX scheduled_task_handler ON scheduled_task (system_task_handler);

CREATE TABLE scheduled_execution (
    id UUID PRIMARY KEY NOT NULL,
    scheduled_task BIGINT NOT NULL REFERENCES scheduled_task (id) ON DELETE CASCADE,
    task_name TEXT NOT NULL,
    -- What belongs together: one execution for each connection, and their retries.
    run_id UUID NOT NULL,
    triggered_by TEXT NOT NULL,
    apic_connection_id BIGINT,
    apic_connection_name TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    result JSONB,
    result_count BIGINT,
    snapshot_id UUID,
    error_type TEXT NOT NULL DEFAULT '',
    error_message TEXT NOT NULL DEFAULT '',
    error_traceback TEXT NOT NULL DEFAULT '',
    retry_attempt BIGINT NOT NULL DEFAULT 0,
    is_retry BOOLEAN NOT NULL DEFAULT FALSE,
    -- Another execution was made to try again what this one failed at.
    is_superseded BOOLEAN NOT NULL DEFAULT FALSE,
    -- 0 for high, 1 for medium, 2 for low priority, as the task had it.
    urgency BIGINT NOT NULL,
    created_at DATETIME NOT NULL,
    ready_at DATETIME NOT NULL,
    started_at DATETIME,
    completed_at DATETIME,
    execution_time_ms BIGINT,
    -- The server that works on it, and until when it is believed to live.
    worker UUID,
    lease_until DATETIME
);
CREATE INDEX scheduled_execution_task ON scheduled_execution (scheduled_task, created_at);
CREATE INDEX scheduled_execution_run ON scheduled_execution (run_id);
CREATE INDEX scheduled_execution_open ON scheduled_execution (ready_at) WHERE completed_at IS NULL;

-- One row: what new tasks get unless told.
CREATE TABLE scheduled_task_settings (
    id BIGINT PRIMARY KEY NOT NULL,
    default_retry_count BIGINT NOT NULL DEFAULT 3,
    default_retry_interval_minutes BIGINT NOT NULL DEFAULT 5,
    default_log_retention_days BIGINT NOT NULL DEFAULT 30,
    email_enabled BOOLEAN NOT NULL DEFAULT TRUE
);
INSERT INTO scheduled_task_settings (id) VALUES (1);

-- What a scheduled capture found changed is a source of notices of its own.
ALTER TABLE notification_preference ADD COLUMN time_machine_drift BOOLEAN NOT NULL DEFAULT TRUE;
