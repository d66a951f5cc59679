-- needs: 1
-- Jobs: work that takes longer than a call. A running job's replica holds the session lock 'headrace.job <id>', so that
-- a job whose lock is free was abandoned.

CREATE TABLE headrace.jobs (
    id uuid PRIMARY KEY,
    project text NOT NULL REFERENCES headrace.projects (name),
    kind text NOT NULL,
    subject text NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    progress_rows bigint NOT NULL DEFAULT 0,
    total_rows bigint,
    reason text NOT NULL DEFAULT '',
    error text NOT NULL DEFAULT '',
    result jsonb,
    cancel_requested boolean NOT NULL DEFAULT false,
    instance text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX ON headrace.jobs (project, id);
CREATE INDEX ON headrace.jobs (id) WHERE state IN ('PENDING', 'RUNNING');
COMMENT ON TABLE headrace.jobs IS 'Work that takes longer than a call: what it is about, how far it is, what came of it. Kept 30 days.';
COMMENT ON COLUMN headrace.jobs.id IS 'A UUIDv7: later jobs have greater ids.';
COMMENT ON COLUMN headrace.jobs.subject IS 'What it is about, in the words of its kind, e.g. model/dataset.';
COMMENT ON COLUMN headrace.jobs.progress_rows IS 'Rows done so far; written about once a second.';
COMMENT ON COLUMN headrace.jobs.total_rows IS 'Rows there are to do; null where nobody knows.';
COMMENT ON COLUMN headrace.jobs.reason IS 'Why it failed: name of the headrace.v1.ErrorReason, without its prefix.';
COMMENT ON COLUMN headrace.jobs.error IS 'The same for people.';
COMMENT ON COLUMN headrace.jobs.instance IS 'The replica that runs it or ran it.';
