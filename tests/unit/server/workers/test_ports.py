import socket

import pytest

from headrace_server.config import Listen
from headrace_server.http.server import ListenError
from headrace_server.workers.ports import held_ports


def listening(port, *, reuse_port):
    return socket.create_server(("127.0.0.1", port), reuse_port=reuse_port)


def test_port_0_becomes_one_port_at_which_all_workers_listen():
    with held_ports(Listen(grpc_port=0, http_port=0)) as (grpc, http):
        assert grpc.port != http.port
        with listening(grpc.port, reuse_port=True), listening(grpc.port, reuse_port=True):
            assert str(grpc) == f"127.0.0.1:{grpc.port}"


def test_connections_reach_a_worker_and_never_the_parent():
    with (
        held_ports(Listen(grpc_port=0, http_port=0)) as (grpc, _),
        listening(grpc.port, reuse_port=True) as worker,
    ):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", grpc.port), timeout=5) as client:
                accepted, address = worker.accept()
                accepted.close()
                assert address == client.getsockname()


def test_while_no_worker_listens_the_port_is_neither_anothers_nor_another_parents():
    with held_ports(Listen(grpc_port=0, http_port=0)) as (grpc, _):
        with pytest.raises(OSError, match="in use"):
            listening(grpc.port, reuse_port=False)
        with pytest.raises(ListenError, match="gRPC door cannot listen"), held_ports(Listen(grpc_port=grpc.port)):
            pass


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_at_which_somebody_listens_is_refused(reuse_port):
    with listening(0, reuse_port=reuse_port) as other:
        port = other.getsockname()[1]
        listen = Listen(grpc_port=0, http_port=port)
        with pytest.raises(ListenError, match=f"HTTP door cannot listen at 127.0.0.1:{port}"), held_ports(listen):
            pass


def test_a_port_is_free_again_after_the_block():
    with held_ports(Listen(grpc_port=0, http_port=0)) as (grpc, _):
        pass
    with listening(grpc.port, reuse_port=False):
        pass


def test_connections_that_an_earlier_service_closed_do_not_keep_the_port():
    with listening(0, reuse_port=False) as earlier:
        port = earlier.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = earlier.accept()
            accepted.close()  # who closes first is left with the connection's last state, for a minute
    with held_ports(Listen(grpc_port=port, http_port=0)) as (grpc, _):
        assert grpc.port == port


def test_an_address_of_another_machine_is_refused():
    listen = Listen(grpc_host="192.0.2.1", grpc_port=0, insecure=True)
    with pytest.raises(ListenError, match="grpc_host"), held_ports(listen):
        pass
