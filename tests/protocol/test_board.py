"""The slow facts of a board on the wire: what a machine leaves out, what another release adds, what is too much."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol import codec, limits
from protocol.board import REASONS, Board, BoardDisk, BoardRail
from protocol.errors import RemoteProtocolError
from protocol.messages import BoardReport


def decoded(board: dict[str, Any]) -> Any:
    return codec.decode_from_machine(json.dumps({"type": "board", "board": board})).message


def test_a_machine_of_any_kind_may_report_nothing_at_all() -> None:
    assert decoded({}) == BoardReport(board=Board())


def test_absent_values_travel_as_null_with_their_reason() -> None:
    report = BoardReport(board=Board(disks=[BoardDisk(name="nvme0", kind="nvme", reason="not_permitted")]))
    assert '"worn":null,"spare":null,"celsius":null,"reason":"not_permitted"' in codec.encode(report)
    assert codec.decode_from_machine(codec.encode(report)).message == report


def test_a_reason_of_a_later_release_is_kept() -> None:
    (rail,) = decoded({"rails": [{"name": "VDD_IN", "reason": "worn_out"}]}).board.rails
    assert rail == BoardRail(name="VDD_IN", reason="worn_out")
    assert rail.reason not in REASONS


@pytest.mark.parametrize(
    ("board", "field"),
    [
        ({"rails": [{"name": "VDD_IN", "watts": -1}]}, "watts"),
        ({"rails": [{"name": "VDD_IN"}] * (limits.MAX_BOARD_PARTS + 1)}, "rails"),
        ({"sensors": [{"name": "cpu", "celsius": -256}]}, "celsius"),
        ({"disks": [{"name": "nvme0"}]}, "disks"),
        ({"gpu_memory_bytes": 2**64}, "gpu_memory_bytes"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(board: dict[str, Any], field: str) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        decoded(board)
    assert (refused.value.code, refused.value.close) == ("invalid", None)
    assert field in f"{refused.value.field} {refused.value.detail}"
