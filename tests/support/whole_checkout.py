"""All the code that is installed, as an unpacked archive has it, with a folder of wheels whose pip gives a release the
tests' own packages: what a real pip does with real wheels, `tests/installer/test_booted.py` shows."""

from __future__ import annotations

import shutil
import sysconfig
import zipfile
from pathlib import Path

from installer.plan import AGENT, HUB, SOURCE
from tests.support.throwaway_root import ThrowawayRoot

PACKAGES = Path(sysconfig.get_path("purelib"))
_PIP = f"""import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "tests.pth").write_text({str(PACKAGES)!r} + "\\n")
"""


def whole_checkout(folder: Path) -> Path:
    for part in sorted({*AGENT.parts, *HUB.parts}):
        source, copy = SOURCE / part, folder / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "private"))
        else:
            shutil.copyfile(source, copy)
    (folder / "wheels").mkdir()
    with zipfile.ZipFile(folder / "wheels" / "pip-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pip/__main__.py", _PIP)
    return folder


def open_the_way(root: ThrowawayRoot, *places: Path) -> None:
    """To what a service's user has to reach: a Python or packages in somebody's home. In the layer alone."""
    for place in {parent for found in places for parent in found.resolve().parents}:
        path = root.path / str(place).lstrip("/")
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o055)
