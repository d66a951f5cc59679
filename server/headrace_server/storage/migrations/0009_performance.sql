-- needs: 1
-- Performance of predictions whose labels have come. Written by rollups/.

CREATE TABLE headrace.performance (
    project text NOT NULL,
    model text NOT NULL,
    task text NOT NULL,
    grain text NOT NULL CHECK (grain IN ('HOUR', 'DAY')),
    bucket timestamptz NOT NULL,
    model_version text NOT NULL,
    variant text NOT NULL,
    is_shadow boolean NOT NULL,
    among text NOT NULL,
    labelled bigint NOT NULL,
    accuracy double precision,
    precision double precision,
    recall double precision,
    f1 double precision,
    true_positives bigint,
    false_positives bigint,
    true_negatives bigint,
    false_negatives bigint,
    auc double precision,
    auc_error double precision,
    log_loss double precision,
    brier double precision,
    mae double precision,
    rmse double precision,
    bias double precision,
    r2 double precision,
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, model, grain, bucket, model_version, variant, is_shadow, among)
);
COMMENT ON TABLE headrace.performance IS
    'What predictions were worth once their labels had come, by hour and by day; <model>_performance shows it.';

CREATE TABLE headrace.rolled_up (
    project text NOT NULL,
    model text NOT NULL,
    revision bigint NOT NULL,
    measured_by text NOT NULL,
    PRIMARY KEY (project, model)
);
COMMENT ON TABLE headrace.rolled_up IS 'By what each model''s performance was last measured; all is measured anew when that changes.';
COMMENT ON COLUMN headrace.rolled_up.revision IS 'Revision of the model that was looked at.';
COMMENT ON COLUMN headrace.rolled_up.measured_by IS 'SHA-256 of task, threshold, classes and roles.';
