"""Demands on whole rows: ids, times, and what the service fills in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from headrace_server.decoding.decoded import Cells, DecodedRows
from headrace_server.models.column_types import TIMESTAMP
from headrace_server.models.schema import EventIdType, Identity
from headrace_server.validation.row_schema import Moment, RowSchema
from headrace_server.validation.validate import ValidatedRows, validate
from support.event_schemas import NOW, schema

NEW_YEAR = 1_356_998_400_000_000
NOW_MICROS = int(NOW.timestamp()) * 1_000_000
DAY = 86_400_000_000
SEVENTH = "0190a5b2-7c3d-7abc-8def-0123456789ab"
SEVENTH_MICROS = 0x0190A5B27C3D * 1_000


def run(of: RowSchema, moment: Moment | None = None, **columns: Any) -> ValidatedRows:
    """Validate columns; event times are given as microseconds."""
    arrays = {
        name: pa.array(cells, TIMESTAMP if name == "event_time" else None) if isinstance(cells, list) else cells
        for name, cells in columns.items()
    }
    count = len(next(iter(arrays.values())))
    rows = DecodedRows(count, {name: Cells(array) for name, array in arrays.items()})
    return validate(rows, of, moment or Moment(NOW))


def refused(validated: ValidatedRows) -> dict[tuple[str, str], list[int]]:
    return {(group.reason, group.column): group.rows.nonzero()[0].tolist() for group in validated.rejections.groups}


def times(validated: ValidatedRows) -> list[int]:
    return validated.table.column("event_time").cast(pa.int64()).to_pylist()


def test_a_row_without_an_id_is_refused() -> None:
    validated = run(schema(), event_id=["a", None, "", "b"], event_time=[NEW_YEAR] * 4)
    assert refused(validated) == {("EVENT_ID_REQUIRED", "event_id"): [1, 2]}
    assert validated.places.tolist() == [0, 3]


@pytest.mark.parametrize(
    "ids", [None, pa.nulls(2), pa.array([None, None], pa.string())], ids=["absent", "void", "null"]
)
def test_a_batch_without_ids_is_refused_whole(ids: pa.Array | None) -> None:
    columns = {"event_time": [NEW_YEAR] * 2} | ({} if ids is None else {"event_id": ids})
    validated = run(schema(), **columns)
    assert refused(validated) == {("EVENT_ID_REQUIRED", "event_id"): [0, 1]}
    assert validated.table.num_rows == 0


def test_an_id_refused_for_another_reason_is_not_missing_too() -> None:
    validated = run(schema(), event_id=["a" * 128, "a" * 129, "é" * 65], event_time=[NEW_YEAR] * 3)
    assert refused(validated) == {("EVENT_ID_TOO_LONG", "event_id"): [1, 2]}
    uuids = schema(event_id_type=EventIdType.UUID)
    validated = run(uuids, event_id=[SEVENTH, "e1", None], event_time=[NEW_YEAR] * 3)
    assert refused(validated) == {("EVENT_ID_INVALID", "event_id"): [1], ("EVENT_ID_REQUIRED", "event_id"): [2]}


def test_a_unique_model_takes_no_time_of_the_service() -> None:
    validated = run(schema(), event_id=["a", "b"], event_time=[NEW_YEAR, None])
    assert refused(validated) == {("EVENT_TIME_REQUIRED", "event_time"): [1]}
    assert refused(run(schema(), event_id=["a", "b"])) == {("EVENT_TIME_REQUIRED", "event_time"): [0, 1]}


def test_an_append_model_takes_the_time_of_receipt() -> None:
    append = schema(identity=Identity.APPEND)
    assert times(run(append, event_id=["a", "b"], event_time=[NEW_YEAR, None])) == [NEW_YEAR, NOW_MICROS]
    assert times(run(append, event_id=["a", "b"])) == [NOW_MICROS] * 2


@pytest.mark.parametrize("id_type", [EventIdType.TEXT, EventIdType.UUID])
@pytest.mark.parametrize("identity", [Identity.UNIQUE, Identity.APPEND])
def test_the_time_of_a_uuid7_is_taken_where_none_is_given(id_type: EventIdType, identity: Identity) -> None:
    of = schema(event_id_type=id_type, identity=identity)
    assert times(run(of, event_id=[SEVENTH])) == [SEVENTH_MICROS]
    assert times(run(of, event_id=[SEVENTH, SEVENTH], event_time=[None, NEW_YEAR])) == [SEVENTH_MICROS, NEW_YEAR]


def test_the_time_of_a_uuid7_must_be_in_range_too() -> None:
    far = f"ffffffff-ffff-7{SEVENTH[15:]}"
    assert refused(run(schema(), event_id=[SEVENTH, far])) == {("EVENT_TIME_OUT_OF_RANGE", "event_time"): [1]}


def test_a_time_that_was_refused_is_not_missing_too() -> None:
    rows = DecodedRows(2, {"event_id": Cells(pa.array(["a", "b"])), "event_time": Cells(["soon", None])})
    validated = validate(rows, schema(), Moment(NOW))
    assert refused(validated) == {("WRONG_TYPE", "event_time"): [0], ("EVENT_TIME_REQUIRED", "event_time"): [1]}


def test_the_range_of_times_holds_to_the_microsecond() -> None:
    first = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    last = NOW_MICROS + DAY
    sent = [first - 1, first, last, last + 1, NEW_YEAR]
    validated = run(schema(), event_id=list("abcde"), event_time=sent)
    assert refused(validated) == {("EVENT_TIME_OUT_OF_RANGE", "event_time"): [0, 3]}
    (group,) = validated.rejections.groups
    assert group.message == (
        "event_time 1989-12-31 23:59:59.999999Z is not between 1990-01-01T00:00:00+00:00 and 2026-03-02T12:00:00+00:00"
    )


def test_the_range_is_the_models_own() -> None:
    of = schema(earliest_event_time=datetime(1900, 1, 1, tzinfo=UTC), latest_ahead=timedelta(days=3_650))
    assert not run(of, event_id=["a", "b"], event_time=[-2_000_000_000_000_000, NOW_MICROS + 3_000 * DAY]).rejections


@pytest.mark.parametrize("identity", [Identity.UNIQUE, Identity.APPEND])
def test_times_that_no_calendar_holds_cost_their_own_rows_only(identity: Identity) -> None:
    sent = [2**63 - 1, NEW_YEAR, -(2**63), 253_402_300_800_000_000]
    validated = run(schema(identity=identity), event_id=list("abcd"), event_time=sent)
    assert refused(validated) == {("EVENT_TIME_OUT_OF_RANGE", "event_time"): [0, 2, 3]}
    assert times(validated) == [NEW_YEAR]


def test_a_null_time_beside_times_in_range_is_no_time_out_of_range() -> None:
    validated = run(schema(), event_id=["a", SEVENTH], event_time=[NOW_MICROS + 2 * DAY, None])
    assert refused(validated) == {("EVENT_TIME_OUT_OF_RANGE", "event_time"): [0]}


def test_a_batch_was_observed_at_one_moment() -> None:
    validated = run(schema(), event_id=["a", "b"], event_time=[NEW_YEAR] * 2)
    assert validated.table.column("observed_time").cast(pa.int64()).to_pylist() == [NOW_MICROS] * 2


def test_the_batchs_version_stands_where_a_row_names_none() -> None:
    moment = Moment(NOW, "v2")
    own = run(schema(), moment, event_id=["a", "b"], event_time=[NEW_YEAR] * 2, model_version=["v1", None])
    assert own.table.column("model_version").to_pylist() == ["v1", "v2"]
    assert run(schema(), moment, event_id=["a"], event_time=[NEW_YEAR]).table.column("model_version").to_pylist() == [
        "v2"
    ]
    assert "model_version" not in run(schema(), event_id=["a"], event_time=[NEW_YEAR]).table.column_names
