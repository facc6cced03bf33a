"""The laws of docs/architecture.md, held against the source; and each law, tried on a small tree that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import architecture_picture
from tests.support import (
    bound_laws,
    code_laws,
    door_laws,
    import_laws,
    mirror_laws,
    name_laws,
    pure_laws,
    role_laws,
    text_laws,
)
from tests.support.broken_houses import BREAKING, DOC, Law
from tests.support.house import House, read_house

ROOT = Path(__file__).parent.parent
EVERY_LAW: tuple[Law, ...] = (
    *bound_laws.LAWS,
    *import_laws.LAWS,
    *door_laws.LAWS,
    *pure_laws.LAWS,
    *mirror_laws.LAWS,
    *code_laws.LAWS,
    *name_laws.LAWS,
    *role_laws.LAWS,
    *text_laws.LAWS,
)


@pytest.fixture(scope="module")
def our_house() -> House:
    return read_house(ROOT)


@pytest.mark.parametrize("law", EVERY_LAW, ids=lambda law: law.__name__)
def test_our_house_keeps_the_law(law: Law, our_house: House) -> None:
    broken = list(law(our_house))
    assert not broken, "\n" + "\n".join(broken)


def test_the_committed_pictures_are_those_of_the_source(our_house: House) -> None:
    for path, text in architecture_picture.pictures(our_house):
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m scripts.architecture_picture"


def test_every_exception_from_a_law_is_still_needed(our_house: House) -> None:
    for place in code_laws.BROAD_EXCEPT:
        module, _, function = place.partition(":")
        found = our_house.modules.get(module)
        assert found is not None, f"{place} is gone: take it off the list"
        assert function in [owner for owner, _ in code_laws.broad_handlers(found)], f"{place} is no longer needed"
    for module in code_laws.TASK_KEEPERS:
        found = our_house.modules.get(module)
        assert found is not None, f"{module} is gone: take it off the list"
        assert "create_task" in found.path.read_text() or "ensure_future" in found.path.read_text(), module


def test_every_writer_beside_the_door_is_still_needed(our_house: House) -> None:
    for name, members in door_laws.OBSERVERS.items():
        module = our_house.modules.get(name)
        assert module is not None, f"{name} is gone: take it off the list"
        written = {member for member, _ in door_laws.written_members(our_house, module)}
        assert members <= written, f"{name} writes {sorted(members - written)} no longer: the list may only shrink"
    for name in (*door_laws.WRITES, *door_laws.RECIPES, *door_laws.WRITERS_IN_DB, *door_laws.FLEET):
        assert name in our_house.modules, f"{name} is gone: take it off the list"


def test_every_table_with_a_retention_or_a_bound_is_still_there(our_house: House) -> None:
    named = [*bound_laws.RETENTION, *bound_laws.BOUNDED]
    assert sorted(named) == sorted(name for name, _, _ in bound_laws.stored_tables(our_house))


def test_whatever_else_the_middle_imports_is_still_needed(our_house: House) -> None:
    for name, more in pure_laws.ALSO.items():
        module = our_house.modules.get(name)
        assert module is not None, f"{name} is gone: take it off the list"
        gone = more.keys() - {imported.name for imported in module.imports}
        assert not gone, f"{name} imports {sorted(gone)} no longer: take them off the list"
    used = {one.name for module in our_house.product() if pure_laws.is_pure(module.name) for one in module.imports}
    assert used >= pure_laws.ALLOWED, f"nobody imports {sorted(pure_laws.ALLOWED - used)}: the list may only shrink"


def build(root: Path, files: dict[str, str]) -> House:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_house(root)


@pytest.mark.parametrize(("law", "files", "said"), BREAKING, ids=lambda value: getattr(value, "__name__", None))
def test_a_tree_that_breaks_a_law_is_reported_with_it(
    law: Law, files: dict[str, str], said: str, tmp_path: Path
) -> None:
    broken = list(law(build(tmp_path, files)))
    assert broken, "nothing was found"
    assert any(said in sentence for sentence in broken), broken


def test_a_tree_that_keeps_every_law_is_left_alone(tmp_path: Path) -> None:
    files = {
        "run_hub.py": DOC + "import bootstrap\nfrom hub.cli import main",
        "bootstrap.py": DOC,
        "hub/__init__.py": DOC,
        "hub/settings.py": DOC,
        "hub/model/__init__.py": DOC,
        "hub/model/fleet.py": DOC + "from protocol import messages",
        "hub/kernel/announce.py": DOC + "from db.queries import machines\nfrom hub.model import fleet",
        "hub/routes.py": DOC + "from dashboard import charts\nfrom hub.kernel import announce",
        "hub/app.py": DOC + "from hub import routes\ntry: ...\nexcept BaseException:\n    close()\n    raise",
        "db/engine/migrate.py": DOC + "import sys\nif __name__ == '__main__':\n    sys.exit(1)",
        "hub/cli/main.py": DOC + "from hub import app\nimport sys\nsys.exit(0)",
        "db/queries/machines.py": DOC + "import sqlalchemy",
        "device/journal/rules.py": DOC + "from protocol import messages",
        "device/samples/spool.py": DOC + "from device.journal import rules",
        "hub/kernel/feed.py": DOC + '_A: dict[int, int] = {}\n"""By id.\n\n    Bound: two."""\n_B = deque(maxlen=5)',
        "device/agent.py": DOC + "from device.samples import spool",
        "dashboard/charts.py": DOC,
        "protocol/messages.py": DOC,
        "dashboard/locales/en.json": '{"a": "{n} machines"}',
        "dashboard/locales/id.json": '{"a": "{n} mesin"}',
    }
    house = build(tmp_path, {name: text + "\n" * 40 for name, text in files.items()})
    assert [sentence for law in EVERY_LAW for sentence in law(house)] == []
