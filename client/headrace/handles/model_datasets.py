"""What a model handle does with datasets: publishes, completes, names the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.errors import InvalidArgumentError
from headrace.handles.roles import roles_said
from headrace.v1 import batch_pb2

if TYPE_CHECKING:
    from headrace.beside_logging import Services
    from headrace.schemas.model_info import ModelInfo
    from headrace.services.jobs import Job


class ModelDatasets:
    """The pre-production part of a model handle.

    Attributes:
        name: Name of the model.
        version: Version stored with each row; empty: none.
        info: The model as registered, where the handle came from register() or get_model(); else None.
    """

    name: str
    version: str
    info: ModelInfo | None
    _services: Services

    def publish_dataset(
        self,
        source: object,
        *,
        name: str,
        event_id: str | None = None,
        event_time: str | None = None,
        features: Sequence[str] | None = None,
        predictions: str | Sequence[str] | None = None,
        labels: str | Sequence[str] | None = None,
        expected_rows: int | None = None,
        allow_rejected: bool = False,
        nan: str = "null",
    ) -> Job:
        """Publish pre-production rows as a dataset: there whole, or not at all, and immutable from then on.

        Returns once the service has begun; the source is read while the job goes on, so leave it alone until
        `job.wait()` has returned. A process that ends before that ends the job, too.

        Args:
            source: As for publish; files, readers and iterators are streamed, whatever their size.
            name: Name of the dataset, 1–128 bytes; a model has any number of datasets.
            event_id: Column that holds the ids; each names one row. Default: "event_id" where there is one, else new
                ids are made.
            event_time: Column that holds the times. Default: "event_time" where there is one, else there are none.
            features: As for publish.
            predictions: As for publish.
            labels: Column or columns that are labels. Default: the registered ones where the handle knows them
                (register, get_model).
            expected_rows: Rows there must be; another number fails the job with DATASET_ROW_COUNT.
            allow_rejected: Go on without rows that are refused. Default: one fails the job with DATASET_ROWS_REJECTED;
                `job.result["errors"]` names them either way.
            nan: As for publish.

        Raises:
            ServiceError: The service refuses (DATASET_EXISTS, MODEL_NOT_FOUND, NAME_INVALID), or is away for
                call_timeout_s.
            InvalidArgumentError: `nan` is neither "null" nor "keep".
        """
        from headrace.publishing.upload import Wanted  # noqa: PLC0415 -- as the parts of beside_logging.py

        wanted = Wanted(
            source=source,
            name=name,
            model=self.name,
            version=self.version,
            roles=roles_said(event_id, event_time, features, predictions, labels),
            info=self.info,
            expected_rows=expected_rows,
            allow_rejected=allow_rejected,
            nan=nan,
        )
        return self._services.datasets.upload(wanted)

    def complete_dataset(
        self,
        source: object,
        *,
        name: str,
        kind: str = "columns",
        event_id: str | None = None,
        predictions: str | Sequence[str] | None = None,
        labels: str | Sequence[str] | None = None,
        expected_rows: int | None = None,
        nan: str = "null",
    ) -> Job:
        """Add to a dataset by the ids of its rows: this model's predictions, labels, influences; all at once.

        A dataset that belongs to no model becomes one of this model, under the same name; it stays as it is for the
        next model. What the dataset has is never changed: a column with any value is refused (DATASET_IMMUTABLE), and
        so is an id that is not there (DATASET_ID_UNKNOWN). Ids that the source leaves out stay without.

        Args:
            source: As for publish_dataset.
            name: Name of the dataset.
            kind: "columns", or "influences": how much each feature moved a prediction, with the columns that
                docs/late-kinds.md names, one row an id and output, once for each dataset of the model.
            event_id: Column that holds the ids. Default: "event_id".
            predictions: As for publish. Default: every column that is nothing else.
            labels: As for publish_dataset.
            expected_rows: As for publish_dataset.
            nan: As for publish.

        Raises:
            ServiceError: The service refuses (DATASET_NOT_FOUND, MODEL_NOT_FOUND, TYPE_CONFLICT), or is away for
                call_timeout_s.
            InvalidArgumentError: As publish_dataset, or `kind` is none of the two.
        """
        from headrace.publishing.upload import PARTS, Wanted  # noqa: PLC0415 -- as the parts of beside_logging.py

        if kind not in PARTS:
            raise InvalidArgumentError(f"kind={kind!r}: {' or '.join(map(repr, PARTS))}")
        late = batch_pb2.RECORD_KIND_INFLUENCES if kind == "influences" else None
        wanted = Wanted(
            source=source,
            name=name,
            model=self.name,
            version="",
            roles=roles_said(event_id, None, None, predictions, labels, late=late),
            info=self.info,
            expected_rows=expected_rows,
            part=PARTS[kind],
            nan=nan,
        )
        return self._services.datasets.upload(wanted)

    def set_baseline(self, name: str | None) -> ModelInfo:
        """Name the dataset that this model's drift is measured against; None: none. Returns the model as it is now.

        Raises:
            ServiceError: There is no such dataset of this model (DATASET_NOT_FOUND), or the service is away for
                call_timeout_s.
        """
        self.info = self._services.datasets.set_baseline(self.name, name)
        return self.info
