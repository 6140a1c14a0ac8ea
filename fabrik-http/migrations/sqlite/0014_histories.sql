-- More of what is set for all, the risk of captures, rows of runs in the background, and the tree of categories. Kept equal
-- to ../postgres by a test; only the types differ.
ALTER TABLE time_machine_global ADD COLUMN store_duplicates BOOLEAN NOT NULL DEFAULT TRUE;
-- How many snapshots a query has on a connection at most; 0 for any number.
ALTER TABLE time_machine_global ADD COLUMN retention_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE time_machine_global ADD COLUMN warn_large_snapshots BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE time_machine_global ADD COLUMN large_snapshot_mb BIGINT NOT NULL DEFAULT 100;

-- How much the changes since the capture before matter, from 0 to 100; NULL where there is none before or it was never
-- judged.
ALTER TABLE time_machine_capture ADD COLUMN risk_score BIGINT;
-- When it was captured, in minutes since 1970: days of any time zone are whole minutes, and sums of these.
ALTER TABLE time_machine_capture ADD COLUMN captured_minute BIGINT;
CREATE INDEX time_machine_capture_minute ON time_machine_capture (series, captured_minute);

-- The rows of runs in the background, for whoever ran them and for a while.
CREATE TABLE query_result (
    -- The id of the run.
    id UUID PRIMARY KEY NOT NULL,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    created_at DATETIME NOT NULL,
    -- NULL while it is written; what is never completed goes after a while, too.
    completed_at DATETIME,
    size_bytes BIGINT NOT NULL DEFAULT 0,
    -- Whether there were more rows than the run was allowed.
    is_truncated BOOLEAN NOT NULL DEFAULT FALSE,
    -- How complete they are; NULL where not all were read.
    verdict JSONB
);
CREATE INDEX query_result_user ON query_result (user_id, created_at);

CREATE TABLE query_result_piece (
    result_id UUID NOT NULL REFERENCES query_result (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    -- Whole rows, a line each, as a zlib stream.
    lines BLOB NOT NULL,
    PRIMARY KEY (result_id, place)
);

ALTER TABLE query_category ADD COLUMN parent BIGINT REFERENCES query_category (id) ON DELETE SET NULL;
CREATE INDEX query_category_parent ON query_category (parent);
