import grpc
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from headrace.v1 import error_reason_pb2
from headrace_server import errors
from headrace_server.intake.status import HTTP_STATUS, http_status, tellable, to_status, trailing_metadata


def family(root):
    for child in root.__subclasses__():
        yield child
        yield from family(child)


LEAVES = [kind for kind in family(errors.HeadraceError) if "reason" in vars(kind)]


def details(status):
    unpacked = {}
    for detail in status.details:
        kind = getattr(error_details_pb2, detail.TypeName().rpartition(".")[2])
        unpacked[kind.__name__] = kind()
        assert detail.Unpack(unpacked[kind.__name__])
    return unpacked


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_a_status_has_retry_info_exactly_when_its_class_is_retryable(kind):
    parts = details(to_status(kind("wrong")))
    assert ("RetryInfo" in parts) is kind.retryable
    assert parts["ErrorInfo"].domain == "headrace"


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_reason_is_in_the_contract(kind):
    reason = details(to_status(kind("wrong")))["ErrorInfo"].reason
    assert f"ERROR_REASON_{reason}" in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118 — no mapping


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_the_code_on_the_wire_is_the_class_s_code(kind):
    assert to_status(kind("wrong")).code == kind.code.value[0]


def test_every_grpc_code_has_an_http_status():
    assert set(HTTP_STATUS) == set(grpc.StatusCode)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (errors.EmptyBatchError, 400),
        (errors.BatchTooLargeError, 413),
        (errors.ModelNotFoundError, 404),
        (errors.RequestIdReusedError, 409),
        (errors.ProjectDeniedError, 403),
        (errors.OverloadedError, 429),
        (errors.DrainingError, 503),
        (errors.InternalDefectError, 500),
    ],
)
def test_errors_have_the_http_status_their_kind_is_known_by(kind, expected):
    assert http_status(kind("wrong")) == expected


def test_the_details_stay_small_however_much_an_error_has_to_say():
    many = {f"columns[{index}].name": "x" * 10_000 for index in range(1_000)}
    error = errors.ModelInvalidError("y" * 100_000, metadata=dict.fromkeys(many, "z" * 10_000), fields=many)
    ((_, packed),) = trailing_metadata(to_status(error))
    # Peers take 8 KiB of headers, gRPC's default.
    assert len(packed) < 8 * 1024


def test_our_own_error_is_told_as_it_is():
    error = errors.SeqGapError("seq 7 after 5")
    assert tellable(error, "/x") is error


def test_a_defect_is_logged_whole_under_the_incident_that_is_told():
    defect = ZeroDivisionError("secret")
    with capture_logs() as logs:
        told = tellable(defect, "/headrace.v1.IngestService/Publish")
    assert isinstance(told, errors.InternalDefectError)
    assert "secret" not in told.message
    (entry,) = logs
    assert entry["incident"] == told.metadata["incident"]
    assert entry["exc_info"] is defect
    assert entry["call"] == "/headrace.v1.IngestService/Publish"
