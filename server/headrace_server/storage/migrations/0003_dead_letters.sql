-- needs: 1
-- Dead letters that can be replayed, and how much a project has of them.

ALTER TABLE headrace.dead_letters ADD COLUMN replays integer NOT NULL DEFAULT 0, ADD COLUMN last_replay_at timestamptz;
COMMENT ON COLUMN headrace.dead_letters.replays IS 'How often it was replayed; reason and message are those of the last time.';
COMMENT ON COLUMN headrace.dead_letters.last_replay_at IS 'When it was last replayed, with whatever outcome.';
CREATE INDEX ON headrace.dead_letters USING brin (created_at);

CREATE TABLE headrace.dead_letter_bytes (
    project text PRIMARY KEY,
    bytes bigint NOT NULL
) WITH (fillfactor = 10);
COMMENT ON TABLE headrace.dead_letter_bytes IS 'What the dead letters of each project hold, kept by triggers: the quota is checked against it.';

CREATE FUNCTION headrace.count_dead_letter_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO headrace.dead_letter_bytes AS counted (project, bytes)
    SELECT project, sum(octet_length(payload)) * CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END
    FROM changed GROUP BY project ORDER BY project
    ON CONFLICT (project) DO UPDATE SET bytes = greatest(counted.bytes + excluded.bytes, 0);
    RETURN NULL;
END $$;
CREATE TRIGGER count_written AFTER INSERT ON headrace.dead_letters REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION headrace.count_dead_letter_bytes();
CREATE TRIGGER count_dropped AFTER DELETE ON headrace.dead_letters REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION headrace.count_dead_letter_bytes();
INSERT INTO headrace.dead_letter_bytes
    SELECT project, sum(octet_length(payload)) FROM headrace.dead_letters GROUP BY project;
