"""Each recorded board is read as what it is: six Orins, JetPack 5 and 6."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.system_monitor import SystemMonitor, board_watch
from protocol import codec
from protocol.limits import MAX_BOARD_PARTS, MAX_MESSAGE_BYTES
from protocol.messages import BoardReport
from tests.device import board_trees


def test_every_orin_of_both_releases_is_recorded() -> None:
    boards = ("agx_orin", "orin_nano", "orin_nx")
    assert sorted(f"{board}_jetpack{release}" for board in boards for release in (5, 6)) == board_trees.NAMES


@pytest.mark.parametrize("name", board_trees.NAMES)
def test_every_fact_names_where_it_is_from(name: str) -> None:
    board = board_trees.described(name)
    named = {source for group in board["groups"] for source in group["from"]}
    assert named <= board["sources"].keys()
    assert all(
        any(mark in text for mark in ("https://", "ublic", "no recording")) for text in board["sources"].values()
    )


@pytest.mark.parametrize("name", board_trees.NAMES)
def test_the_board_is_read_as_recorded(name: str, tmp_path: Path) -> None:
    assert board_watch.look(board_trees.make(name, tmp_path)) == board_trees.expected(name)


@pytest.mark.parametrize("name", board_trees.NAMES)
def test_the_samples_agree_with_it(name: str, tmp_path: Path) -> None:
    sample = SystemMonitor(board_trees.make(name, tmp_path)).collect_metrics()
    assert {member: getattr(sample, member) for member in board_trees.described(name)["sample"]} == (
        board_trees.described(name)["sample"]
    )


@pytest.mark.parametrize("name", board_trees.NAMES)
def test_it_passes_the_wire_as_it_is(name: str, tmp_path: Path) -> None:
    report = BoardReport(board=board_watch.look(board_trees.make(name, tmp_path)))
    text = codec.encode(report)
    assert codec.decode_from_machine(text).message == report
    assert len(text) < MAX_MESSAGE_BYTES / 8


@pytest.mark.parametrize("content", ["", "\n", "garbage", "-1", "-256000", "99999999999999999999", "\0", "x" * 5000])
@pytest.mark.parametrize("name", ["orin_nano_jetpack6", "agx_orin_jetpack6"])
def test_a_kernel_file_may_hold_anything(name: str, content: str, tmp_path: Path) -> None:
    root = board_trees.make(name, tmp_path)
    for path in [path for path in root.rglob("*") if path.is_file()]:
        path.write_text(content)
    report = BoardReport(board=board_watch.look(root))
    assert codec.decode_from_machine(codec.encode(report)).message == report


def test_a_board_with_more_parts_than_fit_is_cut(tmp_path: Path) -> None:
    for number in range(MAX_BOARD_PARTS + 5):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text("cpu-thermal\n")
        (zone / "temp").write_text("41000\n")
    assert len(board_watch.look(tmp_path).sensors) == MAX_BOARD_PARTS


def test_an_ordinary_computer_has_no_facts_of_a_jetson(tmp_path: Path) -> None:
    seen = board_watch.look(tmp_path)
    assert (seen.jetpack, seen.l4t, seen.power_mode, seen.unified_memory) == (None, None, None, None)
    assert set(seen.reasons.values()) == {"absent"}
