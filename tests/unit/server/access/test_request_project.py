import pytest

from headrace.v1 import key_service_pb2, model_service_pb2
from headrace_server.access.caller import Caller, anybody, current_caller
from headrace_server.access.request_project import settle_project
from headrace_server.access.scope import EVERY_SCOPE
from headrace_server.errors import ProjectDeniedError

OURS = Caller("ours", EVERY_SCOPE, "abc", "ipv4:127.0.0.1:1")


def test_a_request_without_a_project_gets_the_credentials() -> None:
    request = model_service_pb2.ListModelsRequest(page_size=3)
    settle_project(request, OURS)
    assert (request.project, request.page_size) == ("ours", 3)


def test_a_project_in_a_message_of_the_request_is_settled_too_even_where_the_message_is_absent() -> None:
    request = model_service_pb2.RegisterModelRequest()
    settle_project(request, OURS)
    assert request.model.project == "ours"


def test_the_credentials_own_project_may_be_said() -> None:
    request = key_service_pb2.ListKeysRequest(project="ours")
    settle_project(request, OURS)
    assert request.project == "ours"


@pytest.mark.parametrize("project", ["main", "nowhere", "OURS", "ours ", "x" * 5_000])
def test_another_is_refused_in_the_same_words_whatever_it_is(project: str) -> None:
    request = model_service_pb2.RegisterModelRequest()
    request.model.project = project
    with pytest.raises(ProjectDeniedError) as refused:
        settle_project(request, OURS)
    assert refused.value.message == f"project {project!r} is not yours"


def test_where_no_keys_are_asked_for_requests_stay_as_they_are() -> None:
    request = model_service_pb2.ListModelsRequest(project="theirs")
    settle_project(request, anybody(""))
    assert request.project == "theirs"
    assert anybody("").project_for("") == "main"


def test_outside_of_a_call_nobody_is_calling() -> None:
    with pytest.raises(LookupError):
        current_caller()
