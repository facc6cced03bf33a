"""scripts/architecture_picture.py: what a picture shows of the imports (tests/test_architecture.py has ours)."""

from __future__ import annotations

from pathlib import Path

from scripts import architecture_picture
from tests.support.house import House, read_house


def house(root: Path, files: dict[str, str]) -> House:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return read_house(root)


def test_a_picture_changes_with_an_import(tmp_path: Path) -> None:
    files = {
        "hub/__init__.py": '"""The hub. Its rest."""',
        "hub/status/__init__.py": '"""Statuses."""',
        "hub/status/api.py": "",
        "hub/commands/__init__.py": '"""Commands."""',
        "hub/commands/page.py": "from hub.status import api",
        "db/a.py": "",
    }
    before = house(tmp_path, files)
    after = house(tmp_path, {"hub/status/api.py": "import db.a\nfrom hub.commands import page"})
    assert architecture_picture.subject_graph(before) == {"commands (pages)": {"status"}, "status": set()}
    assert architecture_picture.subjects(before).count('class="d"') == 1
    assert 'class="u"' not in architecture_picture.subjects(before)
    assert 'class="u"' in architecture_picture.subjects(after), "a circle has another colour"
    assert "imports nothing of ours" in architecture_picture.rooms(before)
    assert ">imports db<" in architecture_picture.rooms(after)
    assert ">The hub<" in architecture_picture.rooms(before)


def test_a_row_stands_above_what_it_imports() -> None:
    graph = {"a": {"c"}, "b": {"a", "c"}, "c": set[str]()}
    assert architecture_picture.sorted_downward(graph) == ["b", "a", "c"]
