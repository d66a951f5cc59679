"""Influences on a dataset: how much each feature moved a prediction, by id and output; a further part, once and whole.

They lie in a table of their own, partitioned like the datasets' own: `<model>_datasets_influences`.
"""

from dataclasses import replace

from headrace_server.copying.connection import Connection
from headrace_server.datasets import completing, publishing, store, tables
from headrace_server.datasets.dataset import Dataset
from headrace_server.errors import DatasetImmutableError, DatasetNotFoundError, ModelInvalidError
from headrace_server.jobs.run import JobRun
from headrace_server.late_kinds.influences import INFLUENCES
from headrace_server.models.ddl_transaction import change_on
from headrace_server.models.late_tables import dataset_influences_table
from headrace_server.models.schema import ModelSchema
from headrace_server.models.system_columns import EVENT_ID, EVENT_TIME
from headrace_server.models.table_spec import TableSpec
from headrace_server.validation.row_schema import RowSchema

KEY = (EVENT_ID.name, *INFLUENCES.spec.subject)


class InfluenceRows:
    """Rows of influences, as INFLUENCES has them, but without a time."""

    adds_columns = False

    def row_schema(self, model: ModelSchema) -> RowSchema:
        """The columns that rows may have, for this revision of the model.

        Raises:
            ModelInvalidError: The model has no features.
        """
        schema = INFLUENCES.row_schema(model)
        if schema is None:
            raise ModelInvalidError(f"the model {model.name!r} {INFLUENCES.takes_none[1]}")
        fields = {name: field for name, field in schema.fields.items() if field.sql_name != EVENT_TIME.name}
        message = f"influences on a dataset have no {EVENT_TIME.name}: the dataset has it"
        refused = {**schema.refused, EVENT_TIME.name: ("IMMUTABLE_COLUMN", message)}
        return replace(schema, fields=fields, refused=refused)


def part_table(model: ModelSchema, name: str, dataset: str) -> TableSpec:
    """Return the table that an upload of influences fills."""
    return tables.detached(dataset_influences_table(model), name, dataset)


def check_none(base: Dataset) -> None:
    """Check that the dataset has no influences yet.

    Raises:
        DatasetNotFoundError: The dataset belongs to no model.
        DatasetImmutableError: It has some.
    """
    if base.model is None:
        raise DatasetNotFoundError(f"the model has no dataset {base.name!r}: complete it with predictions first")
    if base.influences_table is not None:
        raise DatasetImmutableError(f"the dataset {base.name!r} has influences already; they never change")


async def publish(run: JobRun, model: ModelSchema, part: TableSpec, base: Dataset, rows: int) -> None:
    """Let the filled part be seen.

    Raises:
        DatasetImmutableError: The dataset got influences, or was dropped, since the upload began.
        DatasetIdUnknownError: The part has ids that the dataset has not.
    """
    await completing.check_ids(run.connection, part, base)

    async def work(connection: Connection) -> None:
        if not await store.add_influences(connection, base, part.name, rows):
            raise DatasetImmutableError(f"the dataset {base.name!r} got influences, or was dropped, meanwhile")
        await publishing.attach(connection, model, part.name, base.name, dataset_influences_table)
        await run.succeed()

    await change_on(run.connection, model.project, model.sql_name, work)
