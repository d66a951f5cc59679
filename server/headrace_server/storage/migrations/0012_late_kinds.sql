-- needs: 12
-- Late kinds have tables of their own from their first row on; a model says which it has. A release that does not know
-- them must not add columns to a model, since it would not add them there.

ALTER TABLE headrace.models ADD COLUMN late_kinds text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN headrace.models.late_kinds IS
    'Late kinds that had a first row and so have tables beside the events: influences, variants, metrics.';
