"""Addresses are read strictly, and secrets do not travel in plaintext unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

import headrace
from headrace.connecting.channel import Link, Route, Tls, is_loopback, parse_addresses


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("localhost", ["localhost:50051"]),
        ("db.example:1234", ["db.example:1234"]),
        (" a:1 , b:2,", ["a:1", "b:2"]),
        ("[::1]:7", ["[::1]:7"]),
        ("[::1]", ["[::1]:50051"]),
        ("unix:/run/headrace.sock", ["unix:/run/headrace.sock"]),
    ],
)
def test_addresses(text: str, addresses: list[str]) -> None:
    assert parse_addresses(text) == addresses


@pytest.mark.parametrize("text", ["", ",", "host:", ":1", "host:port", "host:0", "host:65536"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(headrace.InvalidArgumentError, match="host:port"):
        headrace.connect(text)


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "unix:/x"])
def test_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["example.org:1", "10.0.0.1:1", "0.0.0.0:1"])
def test_not_loopback(address: str) -> None:
    assert not is_loopback(address)


def test_plaintext_is_the_default_on_loopback_only() -> None:
    assert "plaintext" in repr(Link("localhost:1"))
    assert "tls" in repr(Link("example.org:1"))
    assert "plaintext" in repr(Link("example.org:1", tls=False))
    assert "tls" in repr(Link("localhost:1", tls=Tls()))


def test_every_address_has_its_turn() -> None:
    route = Link("a:1,b:2,c:3").route()
    targets = [target(route) for _ in range(4)]
    assert set(targets[:3]) == {"a:1", "b:2", "c:3"}
    assert targets[3] == targets[0]


def test_routes_begin_at_different_addresses_and_are_each_its_own() -> None:
    link = Link("a:1,b:2")
    one, other = link.route(), link.route()
    first = target(one)
    assert target(other) != first
    assert [target(one), target(one)] != [first, first]
    # Two that connect in turn still come past every address.
    assert {target(route) for route in (one, other, one)} == {"a:1", "b:2"}


def target(route: Route) -> str:
    """The address of the route's next channel."""
    channel = route.connect()
    try:
        return channel._channel.target().decode().rpartition("/")[2]  # type: ignore[attr-defined]
    finally:
        channel.close()


def test_keys_and_certificates_in_files_are_read_again(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("hr_first\n")
    link = Link("localhost:1", api_key=key)
    assert link.metadata == (("authorization", "Bearer hr_first"),)
    key.write_text("hr_second")
    assert link.metadata == (("authorization", "Bearer hr_second"),)
    key.unlink()
    assert link.metadata == (("authorization", "Bearer hr_second"),), "it is being replaced"
    assert Link("localhost:1", api_key="hr_text").metadata == (("authorization", "Bearer hr_text"),)
    assert Link("localhost:1").metadata == ()


def test_files_that_are_not_there_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(headrace.InvalidArgumentError, match=r"api_key.*cannot be read"):
        headrace.connect(api_key=tmp_path / "nothing")
    with pytest.raises(headrace.InvalidArgumentError, match=r"tls\.roots.*cannot be read"):
        headrace.connect(tls=Tls(roots=tmp_path / "nothing"))
    with pytest.raises(headrace.InvalidArgumentError, match="belong together"):
        headrace.connect(tls=Tls(certificate=b"pem"))
