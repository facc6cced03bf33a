"""Who may look at the control page."""

from __future__ import annotations

import pytest

from device.control_page.rules import host_is_ours, is_admitted

NETWORKS = ["192.168.1.0/24", "fd00::/8"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "192.168.1.7", "::ffff:192.168.1.7", "fd00::5"])
def test_the_machine_itself_and_admin_ips_are_admitted(peer: str) -> None:
    assert is_admitted(peer, NETWORKS)


@pytest.mark.parametrize(
    "peer", ["192.168.2.7", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "", "host", "192.168.1.7:80"]
)
def test_nobody_else_is(peer: str) -> None:
    assert not is_admitted(peer, NETWORKS)
    assert not is_admitted("192.168.1.7", [])


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:5001", "127.0.0.1:5001", "[::1]", "[::1]:5001", "192.168.1.7:5001", "rvm-7", "RVM-7:5001",
     "rvm-7.local:5001"],
)  # fmt: skip
def test_a_host_by_address_or_own_name_is_ours(host: str) -> None:
    assert host_is_ours(host, ["rvm-7"])


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:5001", "127.0.0.1.evil.example", "localhost.evil.example", "rvm-7.evil.example",
     "127.0.0.1:x", "127.0.0.1:", "[evil]", "[::1]x", "[::1", "user@127.0.0.1", "0x7f.1", "127.1", "rvm-7:50010000"],
)  # fmt: skip
def test_a_name_that_could_be_anybodys_is_not(host: str) -> None:
    assert not host_is_ours(host, ["rvm-7"])
