-- needs: 1
-- Sampling: the share of a model's events that is kept, over time.

CREATE TABLE headrace.sampling_rates (
    project text NOT NULL,
    model text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    rate double precision NOT NULL CHECK (rate > 0 AND rate <= 1),
    PRIMARY KEY (project, model, began_at),
    FOREIGN KEY (project, model) REFERENCES headrace.models (project, sql_name) ON DELETE CASCADE
);
COMMENT ON TABLE headrace.sampling_rates IS
    'Rates of sampled models, each with the moment it began; the newest is in force. A model without any keeps every event.';

ALTER TABLE headrace.producers ADD COLUMN skipped bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN headrace.producers.skipped IS 'Rows of events that are not in their model''s sample.';

CREATE OR REPLACE VIEW headrace.delivery AS
SELECT p.project, p.producer_id, p.client, p.last_seq, p.last_seen_at, r.reported_at,
       coalesce(r.logged, 0) AS logged,
       coalesce(r.dropped, '{}') AS dropped,
       d.dropped_rows,
       coalesce(r.quarantined, 0) AS quarantined,
       coalesce(r.spooled, 0) AS spooled,
       coalesce(r.buffered, 0) AS buffered,
       coalesce(r.in_flight, 0) AS in_flight,
       coalesce(r.retried, 0) AS retried,
       p.stored, p.duplicate, p.conflict, p.rejected, p.undecodable_batches,
       greatest(
           r.logged - d.dropped_rows - r.quarantined - r.spooled - r.buffered - r.in_flight
           - p.stored - p.duplicate - p.conflict - p.rejected - p.skipped, 0
       ) AS unexplained,
       p.skipped
FROM headrace.producers p
LEFT JOIN headrace.producer_reports r USING (project, producer_id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(value::bigint), 0)::bigint AS dropped_rows FROM jsonb_each_text(coalesce(r.dropped, '{}'))
) d;
