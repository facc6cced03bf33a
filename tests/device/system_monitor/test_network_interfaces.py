"""Which interfaces count: trees of /sys/class/net as kernels show them, each with the same bytes on every interface."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from device.system_monitor import network
from tests.device import trees

PLAIN: dict[str, Any] = {}
VIRTUAL = {"device": False}
TUNNEL = {"device": False, "kind": 65534}
ON_ETH0 = {"device": False, "iflink": 2, "lower": ("eth0",)}


def tree(root: Path, interfaces: dict[str, dict[str, Any]], *, sys: bool = True) -> Path:
    everything = {"lo": {"device": False, "kind": 772}, **interfaces}
    lines = "".join(f"{name:>6}: 1000 1 0 0 0 0 0 0 10 1 0 0 0 0 0 0\n" for name in everything)
    files = {"proc/net/dev": "Inter-|\n face |bytes\n" + lines}
    for index, (name, facts) in enumerate(everything.items(), 1):
        files |= trees.net_interface(name, ifindex=index, **facts) if sys else {}
    return trees.write(root, files)


BESIDE_ETH0: dict[str, dict[str, Any]] = {
    "tailscale0": TUNNEL,
    "wg-office": TUNNEL,
    "tun3": TUNNEL,
    "ztabc12345": VIRTUAL,
    "ppp0": {"device": False, "kind": 512},
    "eth0.100": ON_ETH0,
    "br0": {"device": False, "bridge": True, "lower": ("eth0",)},
    "lxdbr0": {"device": False, "bridge": True},
    "podman0": {"device": False, "bridge": True, "lower": ("veth1",)},
    "docker0": {"device": False, "bridge": True},
    "veth1": {"device": False, "iflink": 77, "brport": True},
    "vxlan.calico": ON_ETH0,
    "cni0": {"device": False, "bridge": True},
    "macvlan0": ON_ETH0,
    "ipvl0": ON_ETH0,
    "team0": {"device": False, "lower": ("eth0",)},
    "bond0": {"device": False, "lower": ("eth0",)},
    "can0": {"kind": 280},
    "mon0": {"kind": 803},
    "sit0": {"device": False, "kind": 776},
    "dummy0": VIRTUAL,
    "ifb0": VIRTUAL,
    "lan1": {"iflink": 2, "lower": ("eth0",)},
}


@pytest.mark.parametrize("name", BESIDE_ETH0)
def test_what_carries_the_bytes_a_second_time_does_not_count(tmp_path: Path, name: str) -> None:
    counted = network.read(tree(tmp_path, {"eth0": PLAIN, name: BESIDE_ETH0[name]}))
    assert counted is not None
    assert list(counted) == ["eth0"]


@pytest.mark.parametrize(
    ("interfaces", "names"),
    [
        ({"eth0": PLAIN, "wlan0": PLAIN}, ["eth0", "wlan0"]),
        ({"enx0": PLAIN, "usb0": PLAIN}, ["enx0", "usb0"]),  # a telephone that shares its network
        ({"tap-named": PLAIN}, ["tap-named"]),  # whatever somebody has called it
        ({"wwan0": {"kind": 519}}, ["wwan0"]),
        ({"eth0": {"brport": True}, "br0": {"device": False, "bridge": True, "lower": ("eth0",)}}, ["eth0"]),
        ({"eth0": PLAIN, "eth1": PLAIN, "bond0": {"device": False, "lower": ("eth0", "eth1")}}, ["eth0", "eth1"]),
        # a container: one end of a pair, the other one in another namespace
        ({"eth0": {"device": False, "iflink": 41}}, ["eth0"]),
        ({"eth0": {"device": False, "iflink": 41}, "dummy0": VIRTUAL, "wg0": TUNNEL}, ["eth0"]),
        # containers inside of a container
        (
            {
                "eth0": {"device": False, "iflink": 41},
                "docker0": {"device": False, "bridge": True, "lower": ("veth1",)},
                "veth1": {"device": False, "iflink": 9, "brport": True},
            },
            ["eth0"],
        ),
        # a modem on a serial line, with the socket for a cable left empty, or none at all
        ({"eth0": {"carrier": 0}, "ppp0": {"device": False, "kind": 512}}, ["ppp0"]),
        ({"ppp0": {"device": False, "kind": 512}}, ["ppp0"]),
        ({"eth0": {"carrier": 0}}, ["eth0"]),
        ({"eth0": {"carrier": 0}, "wlan0": PLAIN, "ppp0": {"device": False, "kind": 512}}, ["eth0", "wlan0"]),
    ],
)
def test_what_leaves_the_machine_counts_once(tmp_path: Path, interfaces: dict[str, Any], names: list[str]) -> None:
    counted = network.read(tree(tmp_path, interfaces))
    assert counted is not None
    assert list(counted) == names


@pytest.mark.parametrize(("names", "counted"), [(["eth0"], ["eth0"]), (["eth0", "tailscale0"], None), ([], None)])
def test_without_sys_only_a_lone_interface_is_no_guess(
    tmp_path: Path, names: list[str], counted: list[str] | None
) -> None:
    found = network.read(tree(tmp_path, dict.fromkeys(names, PLAIN), sys=False))
    assert (found and list(found)) == counted


def test_this_computer_counts_nothing_that_has_no_hardware_beside_what_has() -> None:
    counted = network.read(Path("/"))
    names = {name for _, name in socket.if_nameindex()}
    assert set(counted or {}) <= names - {"lo"}
