import pytest

import headrace as sdk
from headrace.testing import FakeService


@pytest.fixture
def service():
    with FakeService() as service, sdk.connect(service.address) as client:
        columns = sdk.Schema(
            features={"dep_delay": "float64", "embedding": "vector(3)"},
            predictions={"p": "float64"},
            labels={"late": "bool"},
            task="binary_classification",
        )
        for name in ("churn", "flight_delay", "fraud"):
            client.register(columns, name=name, version="v1")
        yield service


def test_all_pages_of_models_are_listed(headrace, service):
    output = headrace("models", "list", "--address", service.address).output
    for name in ("churn", "flight_delay", "fraud"):
        assert name in output
    assert "main.flight_delay" in output


def test_the_address_may_come_from_the_environment(headrace, service, monkeypatch):
    monkeypatch.setenv("HEADRACE_ADDRESS", service.address)
    assert "churn" in headrace("models", "list").output


def test_a_service_without_models_says_what_to_do(headrace):
    with FakeService() as service:
        output = headrace("models", "list", "--address", service.address).output
    assert "no models yet" in output


def test_a_model_is_shown_with_its_columns(headrace, service):
    output = headrace("models", "show", "flight_delay", "--address", service.address).output
    for words in ("dep_delay", "vector(3)", "label", "unique", "v1", "main.flight_delay", "score", "target", "binary"):
        assert words in output


def test_a_model_that_is_not_there_is_told_by_its_reason(headrace, service):
    ended = headrace("models", "show", "nothing", "--address", service.address)
    assert ended.exit_code == 1
    assert "MODEL_NOT_FOUND" in ended.stderr


def test_a_project_s_name_goes_along(headrace, service):
    headrace("models", "show", "churn", "--address", service.address, "--project", "bank")
    assert headrace("models", "list", "--address", service.address, "--project", "bank").exit_code == 0
