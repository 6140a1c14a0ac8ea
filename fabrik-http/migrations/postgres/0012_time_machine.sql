-- What the store of snapshots does not know of a capture, and settings. Kept equal to ../sqlite by a test; only the
-- types differ.
CREATE TABLE time_machine_capture (
    -- The id of the snapshot, made before it is captured.
    id UUID PRIMARY KEY NOT NULL,
    series TEXT NOT NULL,
    saved_query_id BIGINT NOT NULL,
    query_name TEXT NOT NULL,
    query_version TEXT NOT NULL,
    query_version_hash TEXT NOT NULL,
    apic_connection_id BIGINT NOT NULL,
    apic_connection_name TEXT NOT NULL,
    captured_by_id BIGINT,
    execution_type TEXT NOT NULL,
    execution_time_ms BIGINT NOT NULL DEFAULT 0,
    scheduled_task_id BIGINT,
    scheduled_execution_id UUID,
    -- A list of the columns of its rows.
    columns JSONB,
    started_at TIMESTAMPTZ NOT NULL,
    -- NULL while it is captured.
    completed_at TIMESTAMPTZ
);
CREATE INDEX time_machine_capture_series ON time_machine_capture (series);

CREATE TABLE time_machine_settings (
    user_id BIGINT PRIMARY KEY NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    default_retention_policy TEXT NOT NULL,
    auto_capture_enabled BOOLEAN NOT NULL,
    diff_key_strategy TEXT NOT NULL
);

-- One row, with the id 1.
CREATE TABLE time_machine_global (
    id BIGINT PRIMARY KEY NOT NULL,
    max_snapshot_size_mb BIGINT NOT NULL DEFAULT 0,
    auto_cleanup_enabled BOOLEAN NOT NULL DEFAULT TRUE,
    keep_newest BOOLEAN NOT NULL DEFAULT FALSE
);
INSERT INTO time_machine_global (id) VALUES (1);
