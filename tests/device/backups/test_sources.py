"""Which folders a machine backs up, and what of them is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from archive.manifest import ArchiveSource
from device.backups.sources import chosen, default_sources, excluder, without
from device.settings.backup_values import BackupSource, nested


def test_usual_places_are_found_with_their_class(tmp_path: Path) -> None:
    for folder in ("var/lib/rvm", "var/log/rvm", "opt/rvm/images"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "agent.json").touch()
    found = default_sources(tmp_path, agent_file=tmp_path / "agent.json")
    assert {name: source.data_class for name, source in found.items()} == {
        "data": "data", "logs": "logs", "program-images": "images", "agent": "configuration",
    }  # fmt: skip
    assert nested(found) is None
    assert default_sources(tmp_path / "nowhere", agent_file=tmp_path / "none.json") == {}


def test_the_agents_file_is_no_source_within_another(tmp_path: Path) -> None:
    (tmp_path / "etc/rvm").mkdir(parents=True)
    (tmp_path / "etc/rvm/agent.json").touch()
    assert set(default_sources(tmp_path, agent_file=tmp_path / "etc/rvm/agent.json")) == {"configuration"}


@pytest.mark.parametrize(
    ("images", "logs", "names"), [(True, True, "dil"), (False, True, "dl"), (True, False, "di"), (False, False, "d")]
)
def test_images_and_logs_are_taken_when_they_are_asked_for(images: bool, logs: bool, names: str) -> None:
    sources = {
        "l": BackupSource(path="/l", data_class="logs"),
        "i": BackupSource(path="/i", data_class="images", exclude=["x"]),
        "d": BackupSource(path="/d"),
    }
    found = chosen(sources, include_images=images, include_logs=logs)
    assert "".join(found) == names
    assert found["d"].class_ == "data"
    if images:
        assert found["i"].exclude == ("x",)


def test_patterns_are_of_a_name_or_of_a_path() -> None:
    assert excluder(()) is None
    is_excluded = excluder(("*.tmp", "cache/", "a/b", "/c/*", "\udce9"))
    assert is_excluded is not None
    out = [b"x.tmp", b"deep/x.tmp", b"cache", b"deep/cache", b"a/b", b"c/d", b"\xe9"]
    kept = [b"x.tmpl", b"b", b"x/a/b", b"c", b"d"]
    for path in out + kept:
        assert is_excluded(path, path.rpartition(b"/")[2]) == (path in out), path


def test_no_source_takes_the_key_or_the_state_of_the_agent(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "state").mkdir(parents=True)
    link.symlink_to(real)
    key = real / "ma[ch]ine.key"
    sources = {
        "data": ArchiveSource(root=str(link), class_="data", exclude=("*.tmp",)),
        "state": ArchiveSource(root=str(real / "state" / "spool"), class_="data"),
        "key": ArchiveSource(root=str(key), class_="data"),
        "other": ArchiveSource(root=str(tmp_path / "other"), class_="logs"),
    }
    found = without(sources, [str(link / key.name), str(real / "state")])
    assert set(found) == {"data", "other"}
    assert found["other"] == sources["other"]
    is_excluded = excluder(found["data"].exclude)
    assert is_excluded is not None
    out = [b"ma[ch]ine.key", b"state", b"x.tmp"]
    for path in [*out, b"deep/ma[ch]ine.key", b"mac.key", b"deep/state", b"a"]:
        assert is_excluded(path, path.rpartition(b"/")[2]) == (path in out), path
