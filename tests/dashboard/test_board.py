"""Each recorded board as lines for people, in both languages; what somebody should look at is marked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dashboard import board
from dashboard.board import BoardCard
from dashboard.reader import Reader
from protocol.board import REASONS, Board, BoardDisk
from tests.device import board_trees

NOW = 1795413731000


def card(report: Board, language: str = "en") -> BoardCard:
    known: dict[str, Any] = msgspec.to_builtins(report)
    return board.card(Reader(language=language, theme="light", zone="Asia/Jakarta", now=NOW), known)


def lines(made: BoardCard) -> dict[str, str]:
    return {line.name: line.value for _, part in [("", made.facts), *made.parts] for line in part}


def marked(made: BoardCard) -> set[str]:
    return {line.name for _, part in made.parts for line in part if line.marked}


def recorded(name: str, language: str = "en") -> BoardCard:
    return card(board_trees.expected(name), language)


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


def test_a_board_that_works_hard_shows_its_power_against_the_limit() -> None:
    made = lines(recorded("orin_nano_jetpack6"))
    assert (made["JetPack"], made["Power mode"], made["Memory"]) == (
        "6.2.1", "MAXN_SUPER", "shared by processor and GPU",
    )  # fmt: skip
    assert plain(made["VDD_IN"]) == "12.0 W of 25.0 W allowed"
    assert plain(made["VDD_SOC"]) == "2.4 W"
    assert plain(made["pwmfan"]) == "30 %, 2,140 rpm"
    assert made["nvme0 (NVMe)"] == "only root may read it"
    assert made["cv0-thermal"] == "does not answer"
    assert plain(made["cpu-thermal"]) == "51.7 °C"


def test_what_was_counted_and_what_slows_it_down_is_marked() -> None:
    made = recorded("agx_orin_jetpack6")
    assert lines(made)["Supply voltage too low"] == "2 times since the last start"
    assert lines(made)["gpu-throttle-alert"] == "slows it down now"
    assert marked(made) == {"Supply voltage too low", "gpu-throttle-alert"}
    assert marked(recorded("orin_nano_jetpack6")) == {"Current too high for a moment"}
    assert "Now" not in lines(made)
    assert lines(recorded("orin_nano_jetpack6"))["Now"] == "nothing slows it down"
    assert plain(lines(made)["Memory used by the GPU"]) == "537 MB"


def test_a_worn_disk_is_marked() -> None:
    made = recorded("agx_orin_jetpack5")
    assert plain(lines(made)["mmcblk0 (eMMC)"]) == "90 % of its life used"
    assert marked(made) == {"mmcblk0 (eMMC)"}
    assert lines(made)["CV0-therm"] == "switched off"


NVME = [BoardDisk(name="nvme0", kind="nvme", worn=93.0, spare=8.0, celsius=61.0)]


def test_an_nvme_shows_what_its_health_log_has() -> None:
    made = card(Board(disks=NVME))
    assert plain(lines(made)["nvme0 (NVMe)"]) == "93 % of its life used, 8 % spare left, 61.0 °C"
    assert marked(made) == {"nvme0 (NVMe)"}
    indonesian = card(Board(disks=NVME), "id")
    assert plain(lines(indonesian)["nvme0 (NVMe)"]) == "93 % umur pakai sudah habis, sisa blok cadangan 8 %, 61,0 °C"


def test_a_disk_of_an_older_agent_knows_neither_spare_nor_degrees() -> None:
    disk = {"name": "nvme0", "kind": "nvme", "worn": 3.0, "reason": None}
    report = msgspec.to_builtins(Board()) | {"disks": [disk]}
    made = board.card(Reader(language="en", theme="light", zone="Asia/Jakarta", now=NOW), report)
    assert plain(lines(made)["nvme0 (NVMe)"]) == "3 % of its life used"


def test_indonesian_reads_like_indonesian() -> None:
    made = lines(recorded("orin_nano_jetpack6", "id"))
    assert plain(made["VDD_IN"]) == "12,0 W dari batas 25,0 W"
    assert plain(made["Arus sesaat terlalu tinggi"]) == "27.390 kali sejak mesin menyala"
    assert made["nvme0 (NVMe)"] == "hanya root yang boleh membacanya"


def test_a_computer_that_is_no_jetson_shows_no_empty_lines() -> None:
    made = card(Board(reasons={"jetpack": "absent", "power_mode": "absent", "gpu_memory_bytes": "absent"}))
    assert made == BoardCard([], [])


def test_a_fact_that_may_not_be_read_says_so_and_a_new_reason_stays_as_it_is() -> None:
    made = lines(card(Board(reasons={"power_mode": "not_permitted", "gpu_memory_bytes": "a_later_word"})))
    assert made == {"Power mode": "only root may read it", "Memory used by the GPU": "a_later_word"}


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_sentence(reason: str, language: str) -> None:
    assert f"hardware.none.{reason}" in Reader(language=language, theme="light", zone="Asia/Jakarta", now=NOW).t
