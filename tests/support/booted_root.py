"""A computer of its own with a real systemd as its first process: a root made by debootstrap below a layer in memory,
started by systemd-nspawn without a network but loopback."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.until import wait_until

PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}


class BootedRoot:
    def __init__(self, leader: int) -> None:
        self._leader = leader

    @property
    def path(self) -> Path:
        return Path(f"/proc/{self._leader}/root")

    def run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", f"--target={self._leader}", "--all", "--wdns=/"]
        return subprocess.run(
            [*enter, *command], check=False, capture_output=True, text=True, env=PATH, timeout=280, input=given
        )

    def answer(self, *command: str) -> str:
        """Of a command that has to work."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def shown(self, unit: str, fact: str) -> str:
        return self.answer("systemctl", "show", "--value", f"--property={fact}", unit)


@contextmanager
def booted_root(lower: Path, seen: Path) -> Iterator[BootedRoot]:
    """`seen`: a folder that stands at /bundle, read-only. One at a time: two share the control groups below /payload,
    and a service of the one fails (219/CGROUP) when the other removes its own of that name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _shell(f"mount -t tmpfs -o mode=0755 layer {folder}")
        for part in ("upper", "work", "root"):
            (folder / part).mkdir()
        _shell(f"mount -t overlay -o lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work root {folder}/root")
        options = ["--register=no", "--keep-unit", "--private-network", "--link-journal=no", "--console=pipe"]
        command = ["systemd-nspawn", "--quiet", *options, f"--bind-ro={seen}:/bundle", "-D", f"{folder}/root", "--boot"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as holder:
            try:
                yield _booted(holder)
            finally:
                holder.terminate()
                holder.wait(60)
                _shell(f"umount -R {folder}/root; umount -l {folder}")


def _booted(holder: subprocess.Popen[bytes]) -> BootedRoot:
    """Its first child is one that makes the spaces, the next one systemd."""
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")

    def states() -> list[str]:
        found = [BootedRoot(int(child)) for child in children.read_text().split()]
        return [root.run("systemctl", "is-system-running").stdout.strip() for root in found]

    wait_until(lambda: {"running", "degraded"} & set(states()), within=120)
    return BootedRoot(int(children.read_text().split()[0]))


def _shell(line: str) -> None:
    subprocess.run(["sh", "-c", line], check=True)


def missing() -> str:
    """What this computer lacks for it."""
    lacking = [program for program in ("systemd-nspawn", "nsenter") if shutil.which(program) is None]
    return ", ".join(lacking)
