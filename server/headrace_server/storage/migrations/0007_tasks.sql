-- needs: 1
-- What models are for, and what their columns are to that.

ALTER TABLE headrace.models
    ADD COLUMN task text,
    ADD COLUMN classes text[] NOT NULL DEFAULT '{}',
    ADD COLUMN positive_class text NOT NULL DEFAULT '',
    ADD COLUMN threshold double precision NOT NULL DEFAULT 0.5;
COMMENT ON COLUMN headrace.models.task IS 'Name of the headrace.v1.TaskType, without its prefix; null for none.';
COMMENT ON COLUMN headrace.models.classes IS 'Classes the model tells apart, in its own order; empty: any.';
COMMENT ON COLUMN headrace.models.positive_class IS 'Class that a SCORE is the probability of; empty: not said.';
COMMENT ON COLUMN headrace.models.threshold IS 'Scores from here on count as the positive class.';

ALTER TABLE headrace.model_columns ADD COLUMN role text;
COMMENT ON COLUMN headrace.model_columns.role IS 'Name of the headrace.v1.ColumnRole, without its prefix; null for none.';
