"""A dataset as clients see it."""

from headrace.v1 import dataset_pb2
from headrace_server.datasets.dataset import Dataset
from headrace_server.models.late_tables import INFLUENCES
from headrace_server.models.names import beside, qualified
from headrace_server.models.table_spec import DATASETS_SUFFIX
from headrace_server.models.wire import column_to_proto


def _influences_table(dataset: Dataset) -> str:
    name = beside(dataset.model or "", f"{DATASETS_SUFFIX}_{INFLUENCES.name}")
    return qualified(dataset.project, name)


def to_proto(dataset: Dataset) -> dataset_pb2.Dataset:
    """Return the dataset as clients see it."""
    table = dataset.table_name if dataset.model is None else dataset.model + DATASETS_SUFFIX
    shown = dataset_pb2.Dataset(
        project=dataset.project,
        model=dataset.model_name,
        name=dataset.name,
        rows=dataset.rows,
        table=qualified(dataset.project, table),
        columns=[column_to_proto(column) for column in dataset.columns or ()],
        completed_columns=dataset.completed_columns,
        is_baseline=dataset.is_baseline,
        job_id=str(dataset.id),
        influence_rows=dataset.influence_rows,
        influences_table="" if dataset.influences_table is None else _influences_table(dataset),
    )
    shown.create_time.FromDatetime(dataset.created_at)
    return shown
