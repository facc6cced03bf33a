"""A computer to install on and throw away: this one's files below a layer in memory, in mount, process and host name
spaces of their own. What is written stays in the layer. Root only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
_ENTER = """
set -e
mount -t tmpfs -o mode=0755 layer "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" root "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
[ -z "$3" ] || echo "$3" > "$1/root/proc/sys/kernel/hostname"
root="$1/root"; shift 3
for seen; do mkdir -p "$root$seen"; mount --bind "$seen" "$root$seen"; mount -o remount,bind,ro "$root$seen"; done
exec chroot "$root" sleep infinity
"""
_LOOPBACK = """import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))"""


class ThrowawayRoot:
    """`pid`: of the process that holds its spaces; `layer`: the folder that its files are mounted in; `timeout`: of a
    command."""

    def __init__(self, pid: int, layer: Path) -> None:
        self.pid = pid
        self.layer = layer
        self.timeout = 100.0

    @property
    def path(self) -> Path:
        """Its files, from here."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def enter(self) -> list[str]:
        """The words before a command that runs in it."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--net", "--root", "--wdns=/"]

    def run(self, *command: str, given: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8", **environ}
        return subprocess.run(
            [*self.enter, *command],
            check=False,
            capture_output=True,
            text=True,
            env=clean,
            timeout=self.timeout,
            input=given,
        )


@contextmanager
def throwaway_root(
    lower: Path = Path("/"),
    seen: Path = REPOSITORY,
    *,
    image: ThrowawayRoot | None = None,
    site: ThrowawayRoot | None = None,
    name: str = "",
) -> Iterator[ThrowawayRoot]:
    """`lower`: whose files; `seen`: a folder of here that stands at its own path, read-only. `image`: a copy of that
    one, which has to stay as it is now. `name`: with a network of its own, or on that of `site`."""
    if os.geteuid() != 0:
        pytest.skip("an installation needs root")
    for program in ("unshare", "nsenter", "chroot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this computer")
    with tempfile.TemporaryDirectory() as folder:
        within = [] if image is None else ["nsenter", f"--target={image.pid}", "--mount"]
        network = ["--uts", "--net"] if name and site is None else ["--uts"] if name else []
        beside = [] if site is None else ["nsenter", f"--target={site.pid}", "--net"]
        spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *network]
        files = lower if image is None else image.layer / "root"
        command = [*within, *beside, *spaces, "sh", "-c", _ENTER, "sh", folder, str(files), name, str(seen), *_python()]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as holder:
            try:
                root = ThrowawayRoot(_child_in(holder), Path(folder))
                if "--net" in network:
                    subprocess.run(["nsenter", f"--target={root.pid}", "--net", "python3", "-c", _LOOPBACK], check=True)
                yield root
            finally:
                holder.kill()
                holder.wait()


def _python() -> list[str]:
    """What the tests run with, where it is not among this computer's own files (a volume of its own)."""
    own = Path("/").stat().st_dev
    return [path for path in {sys.prefix, sys.base_prefix} if Path(path).stat().st_dev != own]


def _child_in(holder: subprocess.Popen[str]) -> int:
    """Once it sleeps in the new root."""
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
    while holder.poll() is None:
        for child in children.read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if words[-3:] == [b"sleep", b"infinity", b""] and words[0] != b"chroot":  # an emulator stands before it
                return int(child)
    reason = holder.stderr.read() if holder.stderr is not None else ""
    pytest.skip(f"no root to throw away can be made here: {reason.strip()}")
