"""The board of a simulated machine: an Orin NX whose figures follow its samples. That it is simulated its machine's
capability says, and pages say it in the reader's language."""

from __future__ import annotations

import math
from typing import Final

from demo.simulated_plan import Character
from device.system_monitor.board_watch import is_news
from protocol.board import (
    NOT_PERMITTED,
    OFFLINE,
    Board,
    BoardDisk,
    BoardFan,
    BoardRail,
    BoardSensor,
    BoardThrottle,
)
from protocol.limits import BOARD_INTERVAL_S
from protocol.messages import BoardReport, Sample

LIMIT_W: Final = 25.003
MOST_RPM: Final = 5_800
WORN: Final = 93.0
"""Of the machine that takes minutes for everything: its disk is the reason to look at it."""


def board_of(character: Character, role: str, sample: Sample) -> Board:
    watts, celsius = sample.power_w or 0.0, sample.temperature or 0.0
    fan = min(100.0, max(20.0, round(2.2 * (celsius - 30.0), 1)))
    worn = WORN if role == "slow" else round(1 + 40 * character.disk * character.pace)
    return Board(
        jetpack="6.2.1",
        l4t="36.4.4",
        power_mode="MAXN_SUPER" if character.load > 0.5 else "25W",
        unified_memory=True,
        rails=[
            BoardRail(name="VDD_IN", watts=watts, limit_w=LIMIT_W),
            BoardRail(name="VDD_CPU_GPU_CV", watts=round(0.38 * watts, 2)),
            BoardRail(name="VDD_SOC", watts=round(0.24 * watts, 2)),
        ],
        sensors=[
            BoardSensor(name="cpu-thermal", celsius=celsius),
            BoardSensor(name="gpu-thermal", celsius=round(celsius - 1.4, 1)),
            BoardSensor(name="soc0-thermal", celsius=round(celsius - 2.1, 1)),
            BoardSensor(name="cv0-thermal", reason=OFFLINE),
        ],
        throttling=[
            BoardThrottle(name="cpu-throttle-alert", active=False),
            BoardThrottle(name="gpu-throttle-alert", active=False),
            BoardThrottle(name="oc3", events=14 if role == "hot" else 0),
        ],
        fans=[BoardFan(name="pwmfan", percent=fan, rpm=round(MOST_RPM * fan / 100))],
        disks=[
            BoardDisk(name="nvme0", kind="nvme", worn=worn, spare=9 if role == "slow" else 100, celsius=celsius - 9)
        ],
        reasons={"gpu_memory_bytes": NOT_PERMITTED},
    )


class SimulatedBoard:
    """Reports as a real agent does: on each link, then what has changed. `now`: Unix seconds."""

    def __init__(self, character: Character, role: str) -> None:
        self._character, self._role = character, role
        self._reported: Board | None = None
        self._reported_at, self._looked_at = 0.0, math.inf

    def link_is_up(self) -> None:
        self._reported, self._looked_at = None, -math.inf

    def due(self) -> float:
        """Never before the first link."""
        return self._looked_at + BOARD_INTERVAL_S

    def report(self, sample: Sample, now: float, *, watched: bool) -> list[BoardReport]:
        """[]: nothing that is news."""
        if now < self.due():
            return []
        self._looked_at = now
        seen = board_of(self._character, self._role, sample)
        if not is_news(self._reported, seen, now - self._reported_at, watched=watched):
            return []
        self._reported, self._reported_at = seen, now
        return [BoardReport(board=seen)]
