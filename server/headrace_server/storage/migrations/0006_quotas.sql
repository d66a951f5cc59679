-- needs: 1
-- What each project may take; and how administrative acts ended.

ALTER TABLE headrace.projects
    ADD COLUMN max_rows_per_s double precision CHECK (max_rows_per_s > 0),
    ADD COLUMN max_bytes_per_s double precision CHECK (max_bytes_per_s > 0),
    ADD COLUMN max_streams integer CHECK (max_streams >= 0),
    ADD COLUMN max_models integer CHECK (max_models >= 0),
    ADD COLUMN max_columns integer CHECK (max_columns >= 0);
COMMENT ON COLUMN headrace.projects.max_rows_per_s IS 'Rows a second that one replica takes; null: as many as come.';
COMMENT ON COLUMN headrace.projects.max_bytes_per_s IS 'Bytes of batches a second that one replica takes; null: as many as come.';
COMMENT ON COLUMN headrace.projects.max_streams IS 'Ingest streams at a time on one replica; null: as many as come.';
COMMENT ON COLUMN headrace.projects.max_models IS 'Models, over all replicas; null: as many as come.';
COMMENT ON COLUMN headrace.projects.max_columns IS 'Columns of all its models together; null: as many as come.';

CREATE FUNCTION headrace.announce_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('headrace_projects', NEW.name);
    RETURN NULL;
END $$;
CREATE TRIGGER announce_update AFTER UPDATE ON headrace.projects
    FOR EACH ROW EXECUTE FUNCTION headrace.announce_project();

ALTER TABLE headrace.audit_log ADD COLUMN outcome text NOT NULL DEFAULT 'done';
COMMENT ON COLUMN headrace.audit_log.outcome IS
    '"done"; "asked" while it is under way or where the replica ended meanwhile; else the reason it was refused for.';
