import pytest

from headrace_server.access.request_project import project_paths
from headrace_server.access.rules import RULES, is_open, scopes_for
from support.services import Rpc, rpcs

OF_NO_RPC = {"/metrics"}
# Ingest names its project in the first message of its stream, and asks the caller itself (intake/session.py).
IN_THE_STREAM = {"/headrace.v1.IngestService/Ingest"}


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.path)
def test_every_rpc_has_its_line_in_the_table(rpc: Rpc) -> None:
    assert scopes_for(rpc.path), f"{rpc.path} has no line in access/rules.py: which scopes may call it?"


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.path)
def test_every_request_names_its_project_where_it_is_held_against_the_credential(rpc: Rpc) -> None:
    if rpc.path not in IN_THE_STREAM:
        assert project_paths(rpc.descriptor.input_type), f"the request of {rpc.path} has no field `project`"


def test_the_table_has_no_line_of_an_rpc_that_is_gone() -> None:
    assert RULES.keys() - OF_NO_RPC == {rpc.path for rpc in rpcs()}


def test_no_service_of_ours_is_open_to_everybody() -> None:
    assert not [rpc.path for rpc in rpcs() if is_open(rpc.path)]
    assert is_open("/grpc.health.v1.Health/Check")
