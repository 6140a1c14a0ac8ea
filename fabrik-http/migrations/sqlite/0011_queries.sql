-- Saved queries, their categories, who likes and shares them, their versions, and what was run. Kept equal to ../postgres
-- by a test; only the types differ.
CREATE TABLE query_category (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    name_key TEXT,
    description TEXT NOT NULL DEFAULT '',
    color TEXT NOT NULL DEFAULT '#3b82f6',
    icon TEXT NOT NULL DEFAULT '',
    -- Kept, so that lists can be ordered by it.
    query_count BIGINT NOT NULL DEFAULT 0,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE UNIQUE INDEX query_category_name ON query_category (name_key);

CREATE TABLE saved_query (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Whoever is gone leaves queries to the administrators: their history stays.
    owner_id BIGINT REFERENCES auth_user (id) ON DELETE SET NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    category BIGINT REFERENCES query_category (id) ON DELETE SET NULL,
    -- Divided by commas.
    tags TEXT NOT NULL DEFAULT '',
    apic_connection BIGINT REFERENCES apic_connection (id) ON DELETE SET NULL,
    -- The graph or the plain form, as JSON.
    question TEXT NOT NULL,
    -- Where its snapshots are; NULL is the id.
    series TEXT,
    -- A list of columns; NULL is the DN.
    key_fields JSONB,
    is_public BOOLEAN NOT NULL DEFAULT FALSE,
    is_template BOOLEAN NOT NULL DEFAULT FALSE,
    is_validation_query BOOLEAN NOT NULL DEFAULT FALSE,
    validation_description TEXT NOT NULL DEFAULT '',
    validation_usage_count BIGINT NOT NULL DEFAULT 0,
    last_validated_at DATETIME,
    enable_time_machine BOOLEAN NOT NULL DEFAULT FALSE,
    enable_pagination BOOLEAN NOT NULL DEFAULT FALSE,
    page_size BIGINT NOT NULL DEFAULT 50,
    execution_count BIGINT NOT NULL DEFAULT 0,
    last_executed_at DATETIME,
    major_version BIGINT NOT NULL,
    minor_version BIGINT NOT NULL,
    current_version_hash TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
);
CREATE UNIQUE INDEX saved_query_name ON saved_query (owner_id, name_key);
CREATE UNIQUE INDEX saved_query_series ON saved_query (series);
CREATE INDEX saved_query_category ON saved_query (category);

CREATE TABLE saved_query_share (
    query_id BIGINT NOT NULL REFERENCES saved_query (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    PRIMARY KEY (query_id, user_id)
);
CREATE INDEX saved_query_share_user ON saved_query_share (user_id);

CREATE TABLE saved_query_favorite (
    user_id BIGINT NOT NULL REFERENCES auth_user (id) ON DELETE CASCADE,
    query_id BIGINT NOT NULL REFERENCES saved_query (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, query_id)
);
CREATE INDEX saved_query_favorite_query ON saved_query_favorite (query_id);

CREATE TABLE saved_query_version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    query_id BIGINT NOT NULL REFERENCES saved_query (id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    hash TEXT NOT NULL,
    changes TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    created_by_id BIGINT,
    created_by_username TEXT NOT NULL
);
CREATE INDEX saved_query_version_query ON saved_query_version (query_id, id);

-- What was run. Names are copied, so that a row tells the same when the query is gone.
CREATE TABLE query_execution (
    id UUID PRIMARY KEY NOT NULL,
    query BIGINT REFERENCES saved_query (id) ON DELETE SET NULL,
    query_name TEXT NOT NULL,
    query_version TEXT NOT NULL,
    query_url TEXT NOT NULL,
    strategy TEXT NOT NULL,
    apic_connection BIGINT,
    apic_connection_name TEXT NOT NULL,
    executed_by BIGINT REFERENCES auth_user (id) ON DELETE SET NULL,
    executed_by_username TEXT NOT NULL,
    executed_at DATETIME NOT NULL,
    -- NULL while it runs.
    finished_at DATETIME,
    execution_time_ms BIGINT NOT NULL DEFAULT 0,
    result_count BIGINT NOT NULL DEFAULT 0,
    success BOOLEAN NOT NULL DEFAULT FALSE,
    error_message TEXT NOT NULL DEFAULT ''
);
CREATE INDEX query_execution_query ON query_execution (query, executed_at);
CREATE INDEX query_execution_user ON query_execution (executed_by, executed_at);
CREATE INDEX query_execution_time ON query_execution (executed_at);
