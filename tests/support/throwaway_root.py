"""A computer to install on and throw away: this one's files below a layer in memory, in mount, process and host name
spaces of their own. What is written stays in the layer. Root only."""

from __future__ import annotations

import os
import shutil
import subprocess
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
mkdir -p "$1/root$3"; mount --bind "$3" "$1/root$3"; mount -o remount,bind,ro "$1/root$3"
exec chroot "$1/root" sleep infinity
"""


class ThrowawayRoot:
    """`pid`: of the process that holds its spaces."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    @property
    def path(self) -> Path:
        """Its files, from here."""
        return Path(f"/proc/{self._pid}/root")

    def run(self, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", f"--target={self._pid}", "--mount", "--pid", "--root", "--wd=/"]
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8", **environ}
        return subprocess.run(
            [*enter, *command],
            check=False,
            capture_output=True,
            text=True,
            env=clean,
            timeout=100,
            stdin=subprocess.DEVNULL,
        )


@contextmanager
def throwaway_root(lower: Path = Path("/"), seen: Path = REPOSITORY) -> Iterator[ThrowawayRoot]:
    """`lower`: whose files; `seen`: a folder of here that stands at its own path, read-only."""
    if os.geteuid() != 0:
        pytest.skip("an installation needs root")
    for program in ("unshare", "nsenter", "chroot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this computer")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            _ENTER,
            "sh",
            folder,
            str(lower),
            str(seen),
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as holder:
            try:
                yield ThrowawayRoot(_child_in(holder))
            finally:
                holder.kill()
                holder.wait()


def _child_in(holder: subprocess.Popen[str]) -> int:
    """Once it sleeps in the new root."""
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
    while holder.poll() is None:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep"):
                return int(child)
    reason = holder.stderr.read() if holder.stderr is not None else ""
    pytest.skip(f"no root to throw away can be made here: {reason.strip()}")
