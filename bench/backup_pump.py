"""One half of a backup in a process of its own, as an agent runs it; says what it cost.

    python -m bench.backup_pump scan|pump ROOT WORK [--index FILE] [--compression gzip] [--workers 2] [--out FILE]
                                [--recipient age1...]

prints {"seconds", "cpu_s", "rss_mib", "size", "files", "bytes", "entries"}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import time
from pathlib import Path

from archive.manifest import ArchiveSource, Header
from archive.pump import Pump
from device.backups.scan import scan
from device.backups.snapshots import snapshot


def header(root: Path, *, incremental: bool) -> Header:
    chain = (1, 2) if incremental else (1,)
    return Header(
        format=1, backup_id=chain[-1], rvm_id=1, device_id="bench-1", created_at="2026-01-01T00:00:00Z",
        backup_type="incremental" if incremental else "full", chain=chain, parent_id=1 if incremental else None,
        sources={"data": ArchiveSource(root=str(root), class_="data")}, compression="gzip", tool_version="bench",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.backup_pump")
    parser.add_argument("half", choices=("scan", "pump"))
    parser.add_argument("root", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--compression", choices=("gzip", "zstd", "none"), default="gzip")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(os.devnull))
    parser.add_argument("--recipient", action="append", default=[])
    options = parser.parse_args(argv)
    began = time.monotonic()
    if options.half == "scan":
        found = scan(header(options.root, incremental=options.index is not None), options.work, options.index)
        said = {"size": 0, "files": found.files, "bytes": found.bytes, "entries": found.entries}
    else:
        said = _pump(options)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    most = re.search(r"VmHWM:\s+(\d+)", status)
    cost = {"seconds": time.monotonic() - began, "cpu_s": time.process_time()}
    print(json.dumps({**said, **cost, "rss_mib": int(most[1]) / 1024 if most else 0.0}), flush=True)
    return 0


def _pump(options: argparse.Namespace) -> dict[str, int]:
    pump = Pump(
        options.work, {"data": options.root}, compression=options.compression, workers=options.workers,
        snapshot=snapshot, recipients=options.recipient,
    )  # fmt: skip
    with options.out.open("wb") as out, contextlib.closing(pump.parts()) as parts:
        for part in parts:
            out.write(part.data)
    done = pump.summary
    return {"size": done.size, "files": done.files, "bytes": done.bytes, "entries": done.entries}


if __name__ == "__main__":
    sys.exit(main())
