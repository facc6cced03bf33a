"""kill -9 of a process that writes to a spool, twenty times: nothing it confirmed is lost, no number is given twice."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from device.samples.spool import SampleSpool
from tests.device.samples.test_spool import drained

ROOT = Path(__file__).parents[3]


def test_twenty_kills_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    dice = random.Random(11)
    confirmed: list[int] = []
    for _ in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.device.samples.spool_writer", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        confirmed += [int(writer.stdout.readline()) for _ in range(dice.randrange(1, 400))]
        writer.kill()
        # what it had printed before the kill took effect was confirmed as well; a last line may be cut
        confirmed += [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
        writer.wait()
    assert len(set(confirmed)) == len(confirmed)
    spool = SampleSpool(tmp_path, "boot", segment_size=20_000)
    found = {seq for seq, _ in drained(spool)}
    assert set(confirmed) <= found
    assert len(found) - len(confirmed) <= 20, "at most one unconfirmed record a life"
