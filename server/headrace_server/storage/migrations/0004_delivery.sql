-- needs: 1
-- The delivery ledger: what became of each producer's rows, counted by the transaction that stores them, against what its
-- client reports.

ALTER TABLE headrace.producers
    ADD COLUMN stored bigint NOT NULL DEFAULT 0,
    ADD COLUMN duplicate bigint NOT NULL DEFAULT 0,
    ADD COLUMN conflict bigint NOT NULL DEFAULT 0,
    ADD COLUMN rejected bigint NOT NULL DEFAULT 0,
    ADD COLUMN undecodable_batches bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN headrace.producers.stored IS 'Rows of its batches that were stored; so are the counters that follow.';
COMMENT ON COLUMN headrace.producers.undecodable_batches IS 'Batches of which nobody knows how many rows they held.';

CREATE TABLE headrace.producer_reports (
    project text NOT NULL,
    producer_id uuid NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now(),
    logged bigint NOT NULL,
    dropped jsonb NOT NULL,
    quarantined bigint NOT NULL,
    spooled bigint NOT NULL,
    buffered bigint NOT NULL,
    in_flight bigint NOT NULL,
    retried bigint NOT NULL,
    PRIMARY KEY (project, producer_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE headrace.producer_reports IS
    'The last Report of each producer, beside the ledger so that writing it waits for no commit.';
COMMENT ON COLUMN headrace.producer_reports.dropped IS 'Rows by overflow policy or reason.';

CREATE TABLE headrace.seq_gaps (
    project text NOT NULL,
    producer_id uuid NOT NULL,
    from_seq bigint NOT NULL,
    through_seq bigint NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, producer_id, from_seq)
);
COMMENT ON TABLE headrace.seq_gaps IS
    'Batches that had been acknowledged and are not in the database any more: it was restored, or failed over to a copy that lagged.';

CREATE VIEW headrace.delivery AS
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
           - p.stored - p.duplicate - p.conflict - p.rejected, 0
       ) AS unexplained
FROM headrace.producers p
LEFT JOIN headrace.producer_reports r USING (project, producer_id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(value::bigint), 0)::bigint AS dropped_rows FROM jsonb_each_text(coalesce(r.dropped, '{}'))
) d;
COMMENT ON VIEW headrace.delivery IS 'Where every row of a producer is.';
COMMENT ON COLUMN headrace.delivery.reported_at IS 'Age of the client''s counters, logged to retried; stored and the others are of now.';
COMMENT ON COLUMN headrace.delivery.unexplained IS 'Rows that are nowhere: more than the client still had when it reported.';
