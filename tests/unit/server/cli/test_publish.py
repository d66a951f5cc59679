import pyarrow as pa
import pytest
from pyarrow import parquet

import headrace as sdk
from headrace.testing import FakeService, Rejection
from headrace.v1 import error_reason_pb2
from headrace_server.cli.publish import count_rows


@pytest.fixture
def service():
    with FakeService() as service, sdk.connect(service.address) as client:
        client.register(sdk.Schema(features={"dep_delay": "float64"}, labels={"late": "bool"}), name="flight_delay")
        yield service


@pytest.fixture
def flights(tmp_path):
    file = tmp_path / "flights.csv"
    rows = [f"f{index},2026-01-01T00:00:{index:02}Z,{index}.5" for index in range(50)]
    file.write_text("\n".join(["event_id,event_time,dep_delay", *rows]) + "\n")
    return file


def publish(headrace, service, file, *more):
    return headrace("publish", file, "--model", "flight_delay", "--address", service.address, *more)


def test_a_csv_file_is_stored_and_counted(headrace, service, flights):
    ended = publish(headrace, service, flights, "--version", "v1")
    assert ended.exit_code == 0, ended.output
    assert len(service.ledger.events("flight_delay")) == 50
    assert "50/50" in ended.output
    assert "stored" in ended.output


def test_a_parquet_file_is_stored_too(headrace, service, tmp_path):
    file = tmp_path / "flights.parquet"
    parquet.write_table(pa.table({"id": [f"f{index}" for index in range(20)], "dep_delay": [1.5] * 20}), file)
    ended = publish(headrace, service, file, "--event-id", "id", "--feature", "dep_delay")
    assert ended.exit_code == 0, ended.output
    assert len(service.ledger.events("flight_delay")) == 20


def test_labels_beside_events_get_verdicts_of_their_own(headrace, service, tmp_path):
    file = tmp_path / "flights.csv"
    file.write_text("event_id,event_time,dep_delay,late\nf1,2026-01-01T00:00:00Z,1.5,true\n")
    ended = publish(headrace, service, file, "--labels", "late")
    assert ended.exit_code == 0, ended.output
    assert "events" in ended.output
    assert "labels" in ended.output


def test_an_unknown_model_is_told_before_a_row_is_sent(headrace, service, flights):
    ended = headrace("publish", flights, "--model", "nothing", "--address", service.address)
    assert ended.exit_code == 1
    assert "MODEL_NOT_FOUND" in ended.stderr
    assert service.received == []


def test_a_file_that_is_not_there_is_a_misuse(headrace, service):
    assert publish(headrace, service, "nowhere.csv").exit_code == 2


def test_a_file_of_another_kind_is_told(headrace, service, tmp_path):
    file = tmp_path / "flights.txt"
    file.write_text("x\n")
    ended = publish(headrace, service, file)
    assert ended.exit_code == 1
    assert "Traceback" not in ended.output


@pytest.mark.parametrize(("text", "rows"), [("a,b\n1,2\n3,4\n", 2), ("a,b\n", 0), ("", 0)])
def test_the_bar_knows_how_many_rows_a_csv_file_has(tmp_path, text, rows):
    file = tmp_path / "x.csv"
    file.write_text(text)
    assert count_rows(file) == rows


def test_the_bar_knows_how_many_rows_a_parquet_file_has(tmp_path):
    file = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"a": range(7)}), file)
    assert count_rows(file) == 7
    file.write_bytes(b"no parquet")
    assert count_rows(file) is None


def test_of_other_files_the_bar_knows_nothing(tmp_path):
    (tmp_path / "x.txt").write_text("1\n2\n")
    assert count_rows(tmp_path / "x.txt") is None


def test_a_rejected_row_is_shown_with_its_reason_and_fails_the_command(headrace, service, flights):
    service.ledger.rules.append(
        lambda cells: (
            Rejection(error_reason_pb2.ERROR_REASON_WRONG_TYPE, "dep_delay", "is no number")
            if cells["event_id"] == "f7"
            else None
        )
    )
    ended = publish(headrace, service, flights)
    assert ended.exit_code == 1
    assert "1 × WRONG_TYPE in dep_delay: is no number (rows 7)" in ended.output
    assert len(service.ledger.events("flight_delay")) == 49
