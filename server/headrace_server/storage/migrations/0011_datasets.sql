-- needs: 1
-- Datasets: pre-production rows. Their tables are made by datasets/tables.py.

CREATE TABLE headrace.datasets (
    id uuid PRIMARY KEY,
    project text NOT NULL REFERENCES headrace.projects (name),
    model text,
    name text NOT NULL,
    table_name text NOT NULL,
    rows bigint NOT NULL,
    columns jsonb,
    completed_columns text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (project, model, name),
    FOREIGN KEY (project, model) REFERENCES headrace.models (project, sql_name) ON DELETE CASCADE
);
COMMENT ON TABLE headrace.datasets IS 'Datasets that are there, whole: written in the transaction that made them visible.';
COMMENT ON COLUMN headrace.datasets.id IS 'Id of the job that published it.';
COMMENT ON COLUMN headrace.datasets.model IS 'sql_name of the model; null for a dataset that belongs to none.';
COMMENT ON COLUMN headrace.datasets.name IS 'As it was published, and as the column dataset of the table has it.';
COMMENT ON COLUMN headrace.datasets.table_name IS
    'Table in the project''s schema that holds these rows alone: a partition of the model''s datasets, or a table of its own.';
COMMENT ON COLUMN headrace.datasets.columns IS 'Columns of a dataset without a model; null where the model has them.';
COMMENT ON COLUMN headrace.datasets.completed_columns IS 'Columns filled after it was published; they, too, never change again.';

ALTER TABLE headrace.models ADD COLUMN baseline_dataset text;
COMMENT ON COLUMN headrace.models.baseline_dataset IS 'The dataset of the model that drift is measured against.';
