-- needs: 1
-- What monitoring reads, and what keeps it fresh. Written by rollups/, shown by each model's views (rollups/views.py).

ALTER TABLE headrace.models ADD COLUMN retention interval;
COMMENT ON COLUMN headrace.models.retention IS 'Age from which events and their late rows are dropped; null: never.';

-- Notes of what changed, written in the very transaction that stores the rows: insert-only, so nobody waits for anybody.
-- The refresh deletes what it has seen to, and no row can be committed without its note.
CREATE TABLE headrace.touched_hours (
    project text NOT NULL,
    model text NOT NULL,
    kind text NOT NULL,
    day date NOT NULL,
    hours integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE headrace.touched_hours IS 'Hours whose roll-ups are to be refreshed, written with the rows that touch them.';
COMMENT ON COLUMN headrace.touched_hours.model IS 'sql_name of the model.';
COMMENT ON COLUMN headrace.touched_hours.kind IS 'Kind of the rows: EVENTS, LABELS, VARIANTS.';
COMMENT ON COLUMN headrace.touched_hours.day IS 'Day of the events, UTC.';
COMMENT ON COLUMN headrace.touched_hours.hours IS 'Hours of that day, UTC: bit 0 is the hour from midnight on.';

-- Histogram bins -------------------------------------------------------------------------------------------------------
-- Sixteen bins an octave, the same for every column: counts of any hours and versions can be added, and a quantile read
-- from them is within 2.2 %. Bin 0 holds what is nearer to zero than 2^-30; bins below it are those of negative numbers.

CREATE FUNCTION headrace.bin_of(value double precision) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN value = 'NaN' THEN NULL
    WHEN abs(value) < 2 ^ -30 THEN 0
    ELSE (sign(value) * (481 + floor(ln(least(abs(value), 1.7976931348623157e308)) * (16 / ln(2)) + 1e-9)))::smallint
END;
COMMENT ON FUNCTION headrace.bin_of IS 'Number of the histogram bin that a value falls into; null for NaN and null.';

CREATE FUNCTION headrace.summable(value double precision) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN value IS NULL OR value = 'NaN' THEN NULL
    WHEN abs(value) < 1e-100 THEN 0
    ELSE least(greatest(value, -1e100), 1e100)
END;
COMMENT ON FUNCTION headrace.summable IS 'The value, within what PostgreSQL can square and add up: ±1e100.';

CREATE FUNCTION headrace.bin_edge(bin integer) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN bin = 0 THEN 0 ELSE sign(bin) * 2.0::double precision ^ least((abs(bin) - 481) / 16.0, 1023.999) END;
COMMENT ON FUNCTION headrace.bin_edge IS 'Edge of a bin on the side of zero: its lower edge, for negative numbers its upper one.';

CREATE FUNCTION headrace.quantile(bins smallint[], counts bigint[], share double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT CASE WHEN bin = 0 THEN 0 ELSE sign(bin) * 2.0::double precision ^ least((abs(bin) - 480.5) / 16.0, 1023.999) END
    FROM (
        SELECT bin, sum(number) OVER (ORDER BY bin) AS through, sum(number) OVER () AS total
        FROM unnest(bins, counts) AS counted (bin, number)
    ) AS summed
    WHERE through >= share * total ORDER BY bin LIMIT 1
);
COMMENT ON FUNCTION headrace.quantile IS 'Quantile of a histogram, within 2.2 % of the value: share 0.5 is the median.';

-- Roll-ups -------------------------------------------------------------------------------------------------------------

CREATE TABLE headrace.volumes (
    project text NOT NULL,
    model text NOT NULL,
    grain text NOT NULL CHECK (grain IN ('HOUR', 'DAY')),
    bucket timestamptz NOT NULL,
    model_version text NOT NULL,
    variant text NOT NULL,
    events bigint NOT NULL,
    estimated_events double precision NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, model, grain, bucket, model_version, variant)
);
COMMENT ON TABLE headrace.volumes IS 'Events by hour and by day, version and variant; <model>_volume shows them.';

CREATE TABLE headrace.profiles (
    project text NOT NULL,
    model text NOT NULL,
    grain text NOT NULL CHECK (grain IN ('HOUR', 'DAY', 'BASELINE')),
    bucket timestamptz NOT NULL,
    model_version text NOT NULL,
    variant text NOT NULL,
    column_name text NOT NULL,
    present bigint NOT NULL,
    nulls bigint NOT NULL,
    nans bigint NOT NULL,
    total double precision,
    total_squares double precision,
    minimum double precision,
    maximum double precision,
    bins smallint[],
    bin_counts bigint[],
    categories text[],
    category_counts bigint[],
    other_categories bigint NOT NULL,
    PRIMARY KEY (project, model, grain, bucket, model_version, variant, column_name)
);
COMMENT ON TABLE headrace.profiles IS
    'What the values of each column looked like, by hour and by day; <model>_profiles, _histograms and _categories show them.';
COMMENT ON COLUMN headrace.profiles.grain IS 'BASELINE: of the rows of the model''s baseline dataset, whatever their time.';
