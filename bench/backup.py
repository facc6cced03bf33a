"""Backups beside the tools everybody has: made, found unchanged, compared, and taken by the hub.

    python -m bench.backup [--only archive,unchanged,upload] [--megabytes 1024] [--files 1000000] [--folder DIR]

archive    a folder (half photographs, a quarter logs, a quarter small JSON) into an archive: scan and pump beside
           `tar -cz`, and beside `tar -cz` with every file's `sha256sum`, which is what ours also knows; compared again
           (`python -m archive check`) beside `tar -xz` and `sha256sum`; and what it costs more when it is encrypted
unchanged  an incremental scan of files that nobody touched, beside `find -ls`
upload     an archive in parts by the agent's form and in one multipart form, beside the fewest lines that stream a body
           to the disk; meanwhile other machines send samples, whose acknowledgements are timed

Server and hub are on one core, whoever sends on the other; archives are made on both. Everything is in the page cache.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from archive.age import make_identity
from archive.pump import CHILD_ENVIRONMENT
from bench import report, scene
from bench.backup_upload import Payload, Sent, as_form, rest, to_bare, to_hub
from bench.hub import Hub
from bench.load_spec import Found, Spec
from bench.processes import ROOT, run_load

PHOTO = 250_000
LOG_LINE = b"2026-01-01T00:00:%02dZ press %d bottle %d accepted weight=%d\n"
OTHERS_RATE = 200.0
Figures = dict[str, list[float]]


def main(argv: list[str] | None = None) -> int:
    parser = scene.parser("backup", __doc__, machines=20)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--only", default="archive,unchanged,upload")
    options = parser.parse_args(argv)
    sides: dict[str, Callable[[Namespace, scene.Scene], None]] = {
        "archive": _archive, "unchanged": _unchanged, "upload": _upload,
    }  # fmt: skip
    report.heading(f"backup: {options.megabytes} MB, {options.files:,} files, {options.database}")
    for name in options.only.split(","):
        with scene.Scene(options.database) as stage:
            sides[name](options, stage)
    return 0


def _archive(options: Namespace, stage: scene.Scene) -> None:
    root, work, out = stage.folder / "root", stage.folder / "work", stage.folder / "ours.tar.gz"
    size = make_folder(root, options.megabytes)
    figures: Figures = {}
    for turn in range(options.repeat):
        report.step(f"archive, {turn + 1} of {options.repeat}")
        _note(figures, "tar -cz", _shell(f"tar -C {root} -cz . > {stage.folder}/tar.gz"))
        sums = f"find {root} -type f -print0 | xargs -0 sha256sum > {stage.folder}/sums"
        _note(figures, "tar -cz and sha256sum", _shell(f"tar -C {root} -cz . > {stage.folder}/tar.gz; {sums}"))
        scanned, pumped = _half("scan", root, work), _half("pump", root, work, "--out", str(out))
        _note(figures, "scan and pump", scanned["seconds"] + pumped["seconds"])
        _note(figures, "MiB", max(scanned["rss_mib"], pumped["rss_mib"]))
        sealed = _half("pump", root, work, *(f"--recipient={make_identity()[1]}" for _ in range(2)))
        _note(figures, "encrypted MiB", sealed["rss_mib"])
        _note(figures, "encrypted CPU", (sealed["cpu_s"] - pumped["cpu_s"]) / (pumped["size"] / 1e9))
        _note(figures, "packed", pumped["size"] / (stage.folder / "tar.gz").stat().st_size)
        figures.setdefault("check", []).append(_check(out, stage.folder / "scratch"))
        unpacked = f"mkdir {stage.folder}/x && tar -C {stage.folder}/x -xzf {stage.folder}/tar.gz"
        summed = f"find {stage.folder}/x -type f -print0 | xargs -0 sha256sum > {stage.folder}/sums"
        _note(figures, "tar -xz and sha256sum", _shell(f"{unpacked} && {summed}; rm -rf {stage.folder}/x"))
    for name in ("tar -cz", "tar -cz and sha256sum", "scan and pump", "tar -xz and sha256sum", "check"):
        report.row(name, [size / 1e6 / seconds for seconds in figures[name]], "MB/s", 0)
    report.row("pump: most memory", figures["MiB"], "MiB", 0)
    report.row("encrypted: most memory", figures["encrypted MiB"], "MiB", 0)
    report.row("encrypted: CPU more", figures["encrypted CPU"], "s a GB of archive", 2)
    report.row("size of ours / tar's", figures["packed"], "x", 2)
    report.ratio("speed: scan and pump / tar -cz", figures["tar -cz"], figures["scan and pump"], ">= 0.8")
    both = figures["tar -cz and sha256sum"]
    report.ratio("speed: scan and pump / tar -cz and sha256sum", both, figures["scan and pump"], ">= 1")
    report.ratio("speed: check / tar -xz and sha256sum", figures["tar -xz and sha256sum"], figures["check"], ">= 0.8")


def _unchanged(options: Namespace, stage: scene.Scene) -> None:
    root, full = stage.folder / "root", stage.folder / "full"
    report.step(f"making {options.files:,} files")
    make_many(root, options.files)
    report.step("scanning them for a full backup")
    _half("scan", root, full)
    figures: Figures = {}
    for turn in range(options.repeat):
        report.step(f"find and incremental scan, {turn + 1} of {options.repeat}")
        before = _children_cpu_s()
        _note(figures, "find -ls", _shell(f"find {root} -ls > {os.devnull}"))
        _note(figures, "find CPU", _children_cpu_s() - before)
        found = _half("scan", root, stage.folder / "work", "--index", str(full / "index"))
        if found["entries"]:
            report.say(f"  {found['entries']} entries changed meanwhile")
        for name in ("seconds", "cpu_s", "rss_mib"):
            _note(figures, name, found[name])
    report.row(f"find -ls of {options.files:,} files", figures["find -ls"], "s", 2)
    report.row("find -ls: CPU", figures["find CPU"], "s", 2)
    report.row("incremental scan", figures["seconds"], "s", 2)
    report.row("incremental scan: CPU", figures["cpu_s"], "s", 2)
    report.row("incremental scan: most memory", figures["rss_mib"], "MiB", 0)
    report.ratio("time: incremental / find -ls", figures["seconds"], figures["find -ls"], "<= 1.5")
    report.ratio("CPU: incremental / find -ls", figures["cpu_s"], figures["find CPU"], "<= 1.5, whatever else runs")


def _upload(options: Namespace, stage: scene.Scene) -> None:
    report.step(f"making an archive of {options.megabytes} MB")
    payload = Payload(_packed(stage.folder, options.megabytes))
    running = stage.hub(options.machines + 2 * options.repeat)
    upload = stage.bare("upload")
    sent: dict[str, list[Sent]] = {"bare": [], "hub": [], "form": []}
    acks: list[Found] = [_acks(running, options, "quiet")]
    for turn in range(options.repeat):
        machine = options.machines + 2 * turn
        sends: dict[str, Callable[[], Sent]] = {
            "bare": partial(to_bare, upload, payload, str(turn)),
            "hub": partial(to_hub, running, machine, payload),
            "form": partial(as_form, running, machine + 1, payload),
        }
        for name, send in sends.items():
            report.step(f"upload to {name}, {turn + 1} of {options.repeat}")
            rest(running.server)
            sent[name].append(send())
    report.step("uploads beside others' samples")
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(_acks, running, options, "beside")
        machine = 0
        while not beside.done():
            machine = (machine + 1) % options.machines
            to_hub(running, machine, payload, rests=False)
        acks.append(beside.result())
    _say_upload(sent, acks)


def _say_upload(sent: dict[str, list[Sent]], acks: Sequence[Found]) -> None:
    for name, shown in (("bare", "bare streaming endpoint"), ("hub", "hub, in parts"), ("form", "hub, multipart form")):
        report.row(shown, [one.mb_s for one in sent[name]], "MB/s", 0)
        report.row(f"{shown}: CPU", [one.cpu_s_gb for one in sent[name]], "s a GB", 2)
        report.row(f"{shown}: memory added", [one.rss_mib for one in sent[name]], "MiB", 1)
    report.row("hub, in parts: compared as a whole in", [one.whole_s for one in sent["hub"]], "s", 2)
    for found, when in zip(acks, ("quiet", "beside uploads"), strict=True):
        report.row(f"others' acknowledgement {when}: p50", [found.p50_ms], "ms")
        report.row(f"others' acknowledgement {when}: p99", [found.p99_ms], "ms")
        if found.failure:
            report.say(f"  {found.failure}")
    speed, cpu = {k: [s.mb_s for s in v] for k, v in sent.items()}, [s.cpu_s_gb for s in sent["bare"]]
    report.ratio("speed: hub in parts / bare", speed["hub"], speed["bare"], ">= 0.8")
    report.ratio("speed: hub form / bare", speed["form"], speed["bare"], ">= 0.7")
    report.ratio("CPU: hub in parts / bare", [s.cpu_s_gb for s in sent["hub"]], cpu, "<= 1.4")
    report.say(f"  p99 beside uploads: {acks[-1].p99_ms:.0f} ms   goal <= 250 ms; memory added: goal <= 16 MiB")


def _acks(running: Hub, options: Namespace, boot: str) -> Found:
    target = msgspec.structs.replace(running.target(options.machines), boot=boot)
    return run_load(
        Spec(form="open", target=target, watch=running.server.pids, seconds=options.seconds, rate=OTHERS_RATE)
    )


def make_folder(root: Path, megabytes: int) -> int:
    """The bytes: half photographs, which do not get smaller, a quarter logs, a quarter small files."""
    dice, share = random.Random(7), megabytes * 1_000_000 // 4
    for name in ("photos", "logs", "events"):
        (root / name).mkdir(parents=True)
    for number in range(max(1, 2 * share // PHOTO)):
        (root / "photos" / f"{number:07}.jpg").write_bytes(dice.randbytes(PHOTO))
    lines = b"".join(LOG_LINE % (n % 60, n, dice.randrange(10**6), dice.randrange(500)) for n in range(20_000))
    with (root / "logs" / "press.log").open("wb") as log:
        for _ in range(max(1, share // len(lines))):
            log.write(lines)
    event = json.dumps({"at": "2026-01-01T00:00:00Z", "kind": "accepted", "grams": 21, "note": "x" * 1800}).encode()
    for number in range(max(1, share // len(event))):
        folder = root / "events" / str(number // 1000)
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.json").write_bytes(event)
    return sum(file.stat().st_size for file in root.rglob("*") if file.is_file())


def make_many(root: Path, files: int) -> None:
    """Empty ones, a thousand a folder."""
    for first in range(0, files, 1000):
        folder = root / f"{first // 1000:05}"
        folder.mkdir(parents=True)
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for number in range(first, min(first + 1000, files)):
            os.close(os.open(f"photo-{number:08}.jpg", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=inside))
        os.close(inside)
        if first % 100_000 == 0 and first:
            report.step(f"{first:,} files")


def _packed(folder: Path, megabytes: int) -> Path:
    """A right archive of about that size."""
    root, out = folder / "bulk", folder / "bulk.tar"
    root.mkdir()
    for number in range(max(1, megabytes // 16)):
        (root / f"{number}").write_bytes(random.Random(number).randbytes(16_000_000 if megabytes >= 16 else 1_000_000))
    _half("scan", root, folder / "bulk-work")
    _half("pump", root, folder / "bulk-work", "--compression", "none", "--out", str(out))
    shutil.rmtree(root)
    return out


def _half(half: str, root: Path, work: Path, *flags: str) -> Any:
    command = [sys.executable, "-m", "bench.backup_pump", half, str(root), str(work), *flags]
    environment = {**os.environ, **CHILD_ENVIRONMENT}
    ran = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ran.stdout)


def _check(archive: Path, scratch: Path) -> float:
    scratch.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "archive", "check", str(archive), "--scratch", str(scratch)]
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _shell(line: str) -> float:
    began = time.monotonic()
    subprocess.run(["/bin/sh", "-c", line], check=True)
    return time.monotonic() - began


def _children_cpu_s() -> float:
    """Of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _note(figures: Figures, name: str, value: float) -> None:
    figures.setdefault(name, []).append(value)


if __name__ == "__main__":
    sys.exit(main())
