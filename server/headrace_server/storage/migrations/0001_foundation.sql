-- needs: 1
-- The service's own tables: what every replica must agree on. Models' tables are made by models/ddl.py.

COMMENT ON SCHEMA headrace IS 'What the headrace service keeps for itself; read it freely, change it through the service.';

-- Projects and models ------------------------------------------------------------------------------------------------

CREATE TABLE headrace.projects (
    name text PRIMARY KEY,
    infer_models boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE headrace.projects IS 'Tenants. Each is a schema of this database, which holds the tables of its models.';
COMMENT ON COLUMN headrace.projects.infer_models IS 'Whether a first batch may make a model that nobody registered.';

INSERT INTO headrace.projects (name) VALUES ('main');
CREATE SCHEMA IF NOT EXISTS main;

CREATE TABLE headrace.models (
    project text NOT NULL REFERENCES headrace.projects (name),
    sql_name text NOT NULL,
    name text NOT NULL,
    identity text NOT NULL CHECK (identity IN ('UNIQUE', 'APPEND')),
    event_id_type text NOT NULL CHECK (event_id_type IN ('TEXT', 'UUID')),
    unknown_columns text NOT NULL CHECK (unknown_columns IN ('REJECT', 'METADATA', 'ADD')),
    earliest_event_time timestamptz NOT NULL,
    latest_ahead interval NOT NULL,
    chunk_interval interval NOT NULL,
    revision bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, sql_name)
);
COMMENT ON TABLE headrace.models IS 'Registered models. Their events, of every version, are in the hypertable project.sql_name.';
COMMENT ON COLUMN headrace.models.name IS 'As the user wrote it; sql_name is the same folded.';
COMMENT ON COLUMN headrace.models.identity IS
    'UNIQUE: a pair (event_id, event_time) is stored once. APPEND: only batches sent again are recognised.';
COMMENT ON COLUMN headrace.models.revision IS 'Grows by one with each change of the model.';

CREATE TABLE headrace.model_columns (
    project text NOT NULL,
    model text NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    sql_name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('FEATURE', 'PREDICTION', 'LABEL', 'EXTRA')),
    type text NOT NULL,
    dimension integer NOT NULL DEFAULT 0,
    description text NOT NULL DEFAULT '',
    is_label boolean NOT NULL GENERATED ALWAYS AS (kind = 'LABEL') STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, model, position),
    UNIQUE (project, model, is_label, sql_name),
    FOREIGN KEY (project, model) REFERENCES headrace.models (project, sql_name) ON DELETE CASCADE
);
COMMENT ON TABLE headrace.model_columns IS 'Columns of models over all versions, in order of registration. None is ever removed.';
COMMENT ON COLUMN headrace.model_columns.name IS 'As the user wrote it; sql_name is the name in the table.';

CREATE TABLE headrace.model_versions (
    project text NOT NULL,
    model text NOT NULL,
    position integer NOT NULL,
    version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, model, position),
    UNIQUE (project, model, version),
    FOREIGN KEY (project, model) REFERENCES headrace.models (project, sql_name) ON DELETE CASCADE
);
COMMENT ON TABLE headrace.model_versions IS 'Versions that were registered, oldest first. Events of others are stored, too.';

-- The ledger: what keeps a batch that is sent again from adding rows --------------------------------------------------

-- Each commit updates the rows of its producers. Half-empty pages and no index on what changes keep the updates in place
-- (HOT); vacuum comes after few dead rows, however many producers there are.
CREATE TABLE headrace.producers (
    project text NOT NULL,
    producer_id uuid NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    client text NOT NULL DEFAULT '',
    results_expired_through bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, producer_id)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE headrace.producers IS
    'The ledger. A producer''s row is locked first and advanced last in the transaction that stores its rows.';
COMMENT ON COLUMN headrace.producers.epoch IS 'Number of sessions so far; a session of an older epoch is fenced.';
COMMENT ON COLUMN headrace.producers.last_seq IS 'Last batch that is committed; batches up to it are never stored again.';
COMMENT ON COLUMN headrace.producers.last_seen_at IS 'When it last opened a session or committed a batch; forgotten 30 days later.';
COMMENT ON COLUMN headrace.producers.client IS 'What it said it is: SDK, version, host.';
COMMENT ON COLUMN headrace.producers.results_expired_through IS
    'Results up to here that were not "all stored" may be forgotten: a replay is then told so.';

CREATE TABLE headrace.batch_results (
    project text NOT NULL,
    producer_id uuid NOT NULL,
    seq bigint NOT NULL,
    result bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, producer_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX ON headrace.batch_results USING brin (created_at);
COMMENT ON TABLE headrace.batch_results IS
    'Results of committed batches that were not "all stored", so that a batch sent again gets its first answer. Kept 7 days.';
COMMENT ON COLUMN headrace.batch_results.result IS 'A headrace.v1.BatchResult.';

CREATE TABLE headrace.requests (
    project text NOT NULL,
    request_id uuid NOT NULL,
    payload_hash bytea NOT NULL,
    result bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, request_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX ON headrace.requests USING brin (created_at);
COMMENT ON TABLE headrace.requests IS
    'Unary Publish calls, written in the transaction that stores their rows, so that a retry adds none. Kept 24 hours.';
COMMENT ON COLUMN headrace.requests.payload_hash IS 'SHA-256 of the batch; another batch under the same id is refused.';
COMMENT ON COLUMN headrace.requests.result IS 'A headrace.v1.BatchResult; null until the rows are written.';

-- Dead letters: rows that could not be stored -------------------------------------------------------------------------

CREATE TABLE headrace.dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project text NOT NULL,
    producer_id uuid,
    request_id uuid,
    seq bigint NOT NULL DEFAULT 0,
    row_index integer,
    model text NOT NULL,
    kind smallint NOT NULL,
    reason text NOT NULL,
    column_name text NOT NULL DEFAULT '',
    message text NOT NULL,
    sqlstate text NOT NULL DEFAULT '',
    payload bytea NOT NULL CHECK (octet_length(payload) <= 65536),
    payload_bytes bigint NOT NULL,
    payload_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz,
    CHECK (num_nonnulls(producer_id, request_id) = 1)
);
-- A row is a dead letter once, however often its batch is tried. The whole batch (row_index null) counts as one row.
CREATE UNIQUE INDEX ON headrace.dead_letters (project, producer_id, seq, row_index) NULLS NOT DISTINCT
    WHERE producer_id IS NOT NULL;
CREATE UNIQUE INDEX ON headrace.dead_letters (project, request_id, row_index) NULLS NOT DISTINCT
    WHERE request_id IS NOT NULL;
CREATE INDEX ON headrace.dead_letters (project, model, id);
COMMENT ON TABLE headrace.dead_letters IS
    'Rows that were refused, kept in the transaction that stored the good rows of their batch. They can be replayed.';
COMMENT ON COLUMN headrace.dead_letters.producer_id IS 'Sender of the batch on a stream; seq is the batch''s.';
COMMENT ON COLUMN headrace.dead_letters.request_id IS 'Id of the unary Publish instead; seq is 0.';
COMMENT ON COLUMN headrace.dead_letters.row_index IS 'Row in its batch, from 0; null where the whole batch was refused.';
COMMENT ON COLUMN headrace.dead_letters.model IS 'As the batch named it; it may not be registered.';
COMMENT ON COLUMN headrace.dead_letters.kind IS 'Number of the headrace.v1.RecordKind.';
COMMENT ON COLUMN headrace.dead_letters.reason IS 'Name of the headrace.v1.ErrorReason, without its prefix.';
COMMENT ON COLUMN headrace.dead_letters.column_name IS 'Column at fault, as the client named it; empty for the row as a whole.';
COMMENT ON COLUMN headrace.dead_letters.sqlstate IS 'PostgreSQL''s error code where it was the database that refused.';
COMMENT ON COLUMN headrace.dead_letters.payload IS
    'A headrace.v1.Batch of this one row, or its first 64 KiB when payload_bytes is more: then it cannot be replayed.';
COMMENT ON COLUMN headrace.dead_letters.payload_bytes IS 'Size of the whole payload.';
COMMENT ON COLUMN headrace.dead_letters.replayed_at IS 'When it was stored after all.';

-- Batches that touch more chunks than one transaction may lock are stored in parts; here is what is stored already. -----

CREATE TABLE headrace.batch_parts (
    project text NOT NULL,
    origin_id uuid NOT NULL,
    seq bigint NOT NULL,
    part integer NOT NULL,
    places bytea NOT NULL,
    verdicts bytea NOT NULL,
    result bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, origin_id, seq, part)
);
COMMENT ON TABLE headrace.batch_parts IS
    'Parts of wide batches, each written with its rows; gone once the whole batch is in the ledger.';
COMMENT ON COLUMN headrace.batch_parts.origin_id IS 'producer_id, or request_id of a unary Publish.';
COMMENT ON COLUMN headrace.batch_parts.places IS 'Indexes in the batch of the part''s rows, 64-bit little-endian.';
COMMENT ON COLUMN headrace.batch_parts.verdicts IS 'A byte a row, in the same order (batching/verdicts.py).';
COMMENT ON COLUMN headrace.batch_parts.result IS 'A headrace.v1.BatchResult whose errors are those of these rows.';
