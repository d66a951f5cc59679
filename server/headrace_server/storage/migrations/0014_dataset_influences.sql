-- needs: 1
-- Influences of features on the predictions of a dataset, in a table of their own.

ALTER TABLE headrace.datasets ADD COLUMN influences_table text, ADD COLUMN influence_rows bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN headrace.datasets.influences_table IS
    'Table in the project''s schema that holds the influences on this dataset alone; null: there are none.';
