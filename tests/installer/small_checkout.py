"""A checkout to install from in a second: the real installer and doors, empty rooms, no packages."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from installer.plan import AGENT, HUB, SOURCE

REAL = ("installer", "texts", "protocol", "bootstrap.py", "run_device.py", "run_hub.py", "LICENSE")


def small_checkout(folder: Path) -> Path:
    """With a folder of wheels, whose pip has nothing to do."""
    for part in sorted({*AGENT.parts, *HUB.parts}):
        source, copy = SOURCE / part, folder / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if part in REAL and source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        elif part in REAL:
            shutil.copyfile(source, copy)
        elif part == "locks":
            copy.mkdir(exist_ok=True)
        elif Path(part).suffix:
            copy.write_text("")
        else:
            copy.mkdir()
            (copy / "__init__.py").write_text('"""Empty."""\n')
    shutil.copytree(SOURCE / "device" / "privileged", folder / "device" / "privileged")
    for minor in range(10, 14):
        (folder / "locks" / f"hub-3.{minor}.txt").write_text("")
    (folder / "wheels").mkdir()
    with zipfile.ZipFile(folder / "wheels" / "pip-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pip/__main__.py", "")
    return folder
