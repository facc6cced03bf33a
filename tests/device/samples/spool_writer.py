"""A child that fills a spool as fast as it can and prints each number the spool confirmed; made to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

from device.samples.spool import SampleSpool


def main(folder: str) -> None:
    spool = SampleSpool(Path(folder), "boot", segment_size=20_000)
    n = 0
    while True:
        n += 1
        seq = spool.append(b"sample %d" % n)
        print(seq, flush=True)
        if n % 50 == 0:
            spool.sync()


if __name__ == "__main__":
    main(sys.argv[1])
