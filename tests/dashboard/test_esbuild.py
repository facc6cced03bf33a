"""Bundles are made by one short-lived program, and whatever is wrong with it, there is an answer."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

import pytest

from dashboard import esbuild

ENTRIES = {"fleet.js": esbuild.STATIC / "js/views/fleet.js", "style.css": esbuild.STATIC / "css/style.css"}
WRITES = """for word; do case $word in
--outdir=*) out=${word#--outdir=};;
--metafile=*) meta=${word#--metafile=};;
esac; done
"""
"""How a stand-in for esbuild learns where to write."""
NOTHING = '{"inputs":{},"outputs":{}}'


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    program = folder / "linux-x64/bin/esbuild"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(esbuild, "PACKAGES", folder)


def test_our_files_are_bundled_and_shrunk() -> None:
    made = esbuild.bundles(ENTRIES)
    assert made is not None
    assert list(made) == list(ENTRIES)
    assert all(made.values())
    assert made == esbuild.bundles(ENTRIES), "the same files give the same bytes"


def test_a_hub_without_esbuild_has_no_bundles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(esbuild, "PACKAGES", tmp_path / "nowhere")
    with caplog.at_level(logging.INFO):
        assert esbuild.bundles(ENTRIES) is None
    assert "not installed" in caplog.text


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'cannot do that' >&2; exit 1", "cannot do that"),
        ("exit 7", "exit code 7"),
        ("kill -SEGV $$", "exit code -11"),
        ("echo garbage", "meta.json"),
        (WRITES + "echo garbage >$meta", "JSON is malformed"),
        (WRITES + f"echo '{NOTHING}' >$meta; echo x >$out/fleet.js; echo y >$out/style.css", "is not what it says"),
        (WRITES + "echo '{\"inputs\":{\"../../secret.js\":{}},\"outputs\":{}}' >$meta", "it read ../../secret.js"),
        (WRITES + "echo '[]' >$meta", "Expected `object`"),
        (WRITES + r"printf '\377' >$meta", "malformed"),
    ],
)  # fmt: skip
def test_an_esbuild_that_fails_or_answers_garbage_leaves_the_files_as_they_are(
    script: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in(monkeypatch, tmp_path, script)
    assert esbuild.bundles(ENTRIES) is None
    assert why in caplog.text


def test_an_esbuild_that_hangs_is_ended_with_all_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in(monkeypatch, tmp_path, f"touch {tmp_path}/begun; sleep 100 & cat; wait")
    monkeypatch.setattr(esbuild, "WITHIN_S", 1.0)
    started = time.monotonic()
    assert esbuild.bundles(ENTRIES) is None
    assert time.monotonic() - started < 20
    assert (tmp_path / "begun").exists()
    assert "no answer within 1 s" in caplog.text


def test_a_program_of_another_processor_leaves_the_files_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in(monkeypatch, tmp_path, "")
    (tmp_path / "linux-x64/bin/esbuild").write_bytes(b"\x7fELF" + bytes(60))
    assert esbuild.bundles(ENTRIES) is None
    assert "Exec format error" in caplog.text


def test_a_module_that_is_broken_leaves_the_files_as_they_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(esbuild.STATIC, tmp_path / "static")
    monkeypatch.setattr(esbuild, "STATIC", tmp_path / "static")
    (tmp_path / "static/js/views/fleet.js").write_text('import { nothing } from "./nowhere.js";\n')
    assert esbuild.bundles({"fleet.js": tmp_path / "static/js/views/fleet.js"}) is None
    assert "nowhere.js" in caplog.text
