"""Folders as machines have them, and what happens to them."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

SHIFT = b"Machine 7 pressed 1,204 bottles.\n"


def one_of_everything(root: Path) -> Path:
    """One of everything that a machine's folder may have."""
    (root / "empty").mkdir(parents=True)
    (root / "sub" / ("long-" * 20) / ("name" * 30)).mkdir(parents=True)
    (root / "sub" / ("long-" * 20) / ("name" * 30) / "leaf.txt").write_bytes(SHIFT)
    (root / "log").write_bytes(SHIFT * 50_000)
    (root / "photo.jpg").write_bytes(random.Random(1).randbytes(3_000_000))
    (root / "nothing").touch()
    (root / "tool.sh").write_bytes(b"#!/bin/sh\n")
    (root / "tool.sh").chmod(0o4750)
    (root / "link").symlink_to("sub/nowhere")
    (root / ("to-" * 60)).symlink_to("x" * 180)
    os.link(root / "log", root / "log.same")
    (root / "sampah plastik – botol 🙂.txt").write_bytes(b"Botol")
    Path(os.fsdecode(os.fsencode(root) + b"/latin-\xe9.txt")).write_bytes(b"latin")
    with (root / "holes").open("wb") as holes:
        holes.truncate(20_000_000)
        holes.seek(5_000_000)
        holes.write(SHIFT * 1000)
    with (root / "hole-at-end").open("wb") as holes:
        holes.write(SHIFT * 4000)
        holes.truncate(9_000_000)
    with (root / "only-a-hole").open("wb") as holes:
        holes.truncate(3_000_000)
    os.utime(root / "nothing", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root / "tool.sh", ns=(1, -86_400 * 10**9))
    return root


def shake(root: Path, dice: random.Random) -> None:
    """Adds, writes, renames, deletes and turns into something else."""
    folders = [root, *(p for p in root.rglob("*") if p.is_dir() and not p.is_symlink())]
    for _ in range(dice.randrange(30)):
        folder = dice.choice(folders)
        path = folder / f"n{dice.randrange(25)}"
        if not folder.is_dir():
            continue
        act = dice.randrange(7)
        if act == 0 and os.path.lexists(path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif act == 1 and not os.path.lexists(path):
            path.mkdir()
            folders.append(path)
        elif act == 2 and not os.path.lexists(path):
            path.symlink_to("n1")
        elif act == 3 and os.path.lexists(path):
            path.rename(folder / f"m{dice.randrange(10**9)}")
        elif not os.path.lexists(path) or (path.is_file() and not path.is_symlink()):
            path.write_bytes(dice.randbytes(dice.choice((0, 10, 1000))))


def five_parts(root: Path) -> Path:
    """Five parts of a backup in what does not get smaller, in files of all sizes."""
    dice = random.Random(2)
    root.mkdir()
    for number in range(60):
        (root / f"{number}").write_bytes(dice.randbytes(dice.choice((0, 100, 512, 5000, 1_000_000))))
    for number in range(3):
        (root / f"video-{number}").write_bytes(dice.randbytes(7_000_000 + number))
    with (root / "sparse").open("wb") as file:
        for piece in range(8):
            file.seek(piece * 4_000_000)
            file.write(dice.randbytes(500_000))
    return root
