"""Bundles our scripts and style sheets with npm's esbuild, within `WITHIN_S`."""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
PACKAGES = Path(__file__).parent.parent / "node_modules/@esbuild"
"""The program for this computer; needs no node."""
WITHIN_S = 10.0
OPTIONS = (
    "--bundle", "--minify", "--format=esm", "--charset=utf8", "--legal-comments=none", "--log-level=error",
    "--tsconfig-raw={}",
)  # fmt: skip


BASE_PATH = "BASE_PATH"
"""In a script: the path below which the hub stands, "" at the root of its site; a bundle has it written out."""


class BundleError(Exception):
    pass


class _Output(msgspec.Struct):
    bytes: int


class _Meta(msgspec.Struct):
    inputs: dict[str, Any]
    outputs: dict[str, _Output]


def bundles(entries: Mapping[str, Path], base_path: str = "") -> dict[str, bytes] | None:
    program = next(PACKAGES.glob("*/bin/esbuild"), None)
    if program is None:
        logger.info("esbuild is not installed: scripts and style sheets are sent as they are")
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="rvm-esbuild-") as folder:
            return _run(program, entries, base_path, Path(folder))
    except (BundleError, OSError, ValueError) as problem:
        logger.warning("esbuild made no bundles, so scripts and style sheets are sent as they are: %s", problem)
        return None


def _run(program: Path, entries: Mapping[str, Path], base_path: str, folder: Path) -> dict[str, bytes]:
    named = [f"{name.rpartition('.')[0]}={path}" for name, path in entries.items()]
    command = [str(program), *named, *OPTIONS, f"--define:{BASE_PATH}={json.dumps(base_path)}"]
    command += [f"--outdir={folder}", f"--metafile={folder / 'meta.json'}"]
    with (folder / "errors").open("w+b") as errors:  # no pipe: nothing that a killed child leaves behind can be awaited
        try:
            code = subprocess.run(  # noqa: S603 - our own files and fixed options
                command, cwd=STATIC, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                timeout=WITHIN_S, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise BundleError(f"no answer within {WITHIN_S:.0f} s") from None
        if code:
            errors.seek(0)
            raise BundleError(errors.read(2000).decode(errors="replace").strip() or f"exit code {code}")
    return _proven(entries, folder)


def _proven(entries: Mapping[str, Path], folder: Path) -> dict[str, bytes]:
    """Only when read and written files are as asked."""
    meta = msgspec.json.decode((folder / "meta.json").read_bytes(), type=_Meta)
    foreign = [path for path in meta.inputs if not (STATIC / path).resolve().is_relative_to(STATIC)]
    if foreign:
        raise BundleError(f"it read {foreign[0]}")
    sizes = {Path(path).name: output.bytes for path, output in meta.outputs.items()}
    made = {name: (folder / name).read_bytes() for name in entries}
    wrong = [name for name, content in made.items() if not content or len(content) != sizes.get(name)]
    if wrong:
        raise BundleError(f"{wrong[0]} is not what it says")
    return made
