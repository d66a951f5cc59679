-- needs: 1
-- API keys, and the book of administrative acts.

CREATE TABLE headrace.api_keys (
    id text PRIMARY KEY,
    project text NOT NULL REFERENCES headrace.projects (name),
    name text NOT NULL,
    scopes text[] NOT NULL CHECK (
        cardinality(scopes) > 0 AND scopes <@ ARRAY['ingest', 'label', 'read', 'admin']::text[]
    ),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX ON headrace.api_keys (project, created_at);
COMMENT ON TABLE headrace.api_keys IS 'Keys of projects. Only hashes: a key''s text is shown once, when it is made.';
COMMENT ON COLUMN headrace.api_keys.id IS 'Public part of the key''s text.';
COMMENT ON COLUMN headrace.api_keys.hash IS 'BLAKE2b-256 of the secret, keyed with the id.';
COMMENT ON COLUMN headrace.api_keys.expires_at IS 'When it ends by itself; null: never.';
COMMENT ON COLUMN headrace.api_keys.last_used_at IS 'When it was last seen, to within a minute.';

-- Whoever changes a key, every replica hears of it; that it was used is no change.
CREATE FUNCTION headrace.announce_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('headrace_keys', OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER announce_update AFTER UPDATE OF scopes, hash, project, expires_at, revoked_at ON headrace.api_keys
    FOR EACH ROW EXECUTE FUNCTION headrace.announce_key();
CREATE TRIGGER announce_delete AFTER DELETE ON headrace.api_keys
    FOR EACH ROW EXECUTE FUNCTION headrace.announce_key();

CREATE TABLE headrace.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    origin text NOT NULL,
    act text NOT NULL,
    project text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ON headrace.audit_log (project, at);
COMMENT ON TABLE headrace.audit_log IS
    'Administrative acts, each written in the transaction that did it. Never shortened by the service.';
COMMENT ON COLUMN headrace.audit_log.actor IS '"key:<id>", or "cli:<account>" for the command line beside the database.';
COMMENT ON COLUMN headrace.audit_log.origin IS 'Address of the peer, or name of the machine.';
