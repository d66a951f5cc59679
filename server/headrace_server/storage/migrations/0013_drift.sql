-- needs: 1
-- Drift of each day's values against the model's baseline dataset. Written by rollups/.

CREATE TABLE headrace.drift (
    project text NOT NULL,
    model text NOT NULL,
    bucket timestamptz NOT NULL,
    column_name text NOT NULL,
    dataset text NOT NULL,
    rows bigint NOT NULL,
    baseline_rows bigint NOT NULL,
    psi double precision NOT NULL,
    js_distance double precision NOT NULL,
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, model, bucket, column_name)
);
COMMENT ON TABLE headrace.drift IS
    'How far the values of each day are from those of the baseline dataset; <model>_drift shows it.';

ALTER TABLE headrace.rolled_up ADD COLUMN baseline_table text;
COMMENT ON COLUMN headrace.rolled_up.baseline_table IS
    'Table of the baseline dataset that was profiled; another once the dataset is completed or another is named.';
