"""The laws of docs/architecture.md, held against the source; and each law, tried on a small tree that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import code_laws, import_laws
from tests.support.house import House, read_house

ROOT = Path(__file__).parent.parent
Law = Callable[[House], Iterator[str]]
EVERY_LAW: tuple[Law, ...] = (*import_laws.LAWS, *code_laws.LAWS)


@pytest.fixture(scope="module")
def our_house() -> House:
    return read_house(ROOT)


@pytest.mark.parametrize("law", EVERY_LAW, ids=lambda law: law.__name__)
def test_our_house_keeps_the_law(law: Law, our_house: House) -> None:
    broken = list(law(our_house))
    assert not broken, "\n" + "\n".join(broken)


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


def build(root: Path, files: dict[str, str]) -> House:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_house(root)


DOC = '"""Its one job."""\n'

BREAKING: list[tuple[Law, dict[str, str], str]] = [
    (import_laws.rooms, {"device/agent.py": "import hub.core.fleet"}, "run_device -> device -> protocol, certs"),
    (import_laws.rooms, {"protocol/codec.py": "from db import schema"}, "import nothing of ours"),
    (import_laws.rooms, {"hub/app.py": "def late():\n    from device import spool"}, "hub/app.py:2"),
    (import_laws.rooms, {"hub/app.py": "import importlib\nimportlib.import_module('bench.storm')"}, "bench.storm"),
    (import_laws.rooms, {"hub/app.py": "import importlib\nimportlib.import_module(name)"}, "no law can see"),
    (
        import_laws.hub_layers,
        {"hub/core/fleet.py": "from hub.flow import feed", "hub/flow/feed.py": DOC},
        "wiring > web > flow > core",
    ),
    (
        import_laws.hub_layers,
        {"hub/web/pages.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hub.app import create_app"},
        "hub/web/pages.py:3",
    ),
    (import_laws.hub_layers, {"hub/settings.py": "import hub.core.fleet"}, "settings is a leaf"),
    (import_laws.hub_layers, {"hub/core/fleet.py": "from db import machines"}, "imports protocol and itself"),
    (import_laws.device_layers, {"device/core/outbox.py": "import device.spool"}, "moving parts > core"),
    (import_laws.device_layers, {"device/spool.py": "from . import agent", "device/agent.py": DOC}, "device.agent"),
    (import_laws.cycles, {"hub/a.py": "import hub.b", "hub/b.py": "import hub.a"}, "hub.a -> hub.b -> hub.a"),
    (
        import_laws.cycles,
        {"db/a.py": "from db import b", "db/b.py": "def late():\n    from db.a import thing"},
        "db.a -> db.b -> db.a",
    ),
    (import_laws.sql, {"hub/flow/recorder.py": "from sqlalchemy import select"}, "no SQL outside db/"),
    (code_laws.purity, {"hub/core/fleet.py": "async def load(): ..."}, "hub/core/fleet.py:1 awaits"),
    (code_laws.purity, {"device/core/outbox.py": "import time\nnow = time.monotonic()"}, "looks at a clock"),
    (code_laws.purity, {"protocol/codec.py": "from datetime import datetime\ndatetime.now()"}, "looks at a clock"),
    (code_laws.purity, {"protocol/session.py": "import asyncio"}, "imports asyncio"),
    (code_laws.drawers, {"hub/web/utils.py": DOC}, "a missing noun"),
    (code_laws.drawers, {"tests/support/page_helpers.py": DOC}, "a missing noun"),
    (code_laws.sizes, {"db/big.py": "\n" * 401}, "has 401 lines"),
    (code_laws.sizes, {"db/big.py": "class A:\n    def long(self):\n" + "        pass\n" * 60}, "A.long has 61 lines"),
    (code_laws.sizes, {"dashboard/static/js/big.js": "\n" * 401}, "big.js has 401 lines"),
    (code_laws.docstrings, {"db/bare.py": "x = 1"}, "db/bare.py"),
    (code_laws.tasks, {"hub/flow/feed.py": "import asyncio\nasyncio.create_task(work())"}, "belongs to a task group"),
    (code_laws.tasks, {"hub/flow/feed.py": "t = loop.create_task(work())"}, "belongs to a task group"),
    (code_laws.broad_excepts, {"hub/flow/feed.py": "def f():\n    try: ...\n    except Exception: ..."}, "in f;"),
    (code_laws.broad_excepts, {"hub/flow/feed.py": "try: ...\nexcept (OSError, BaseException): ..."}, "in the module"),
    (code_laws.broad_excepts, {"hub/flow/feed.py": "def f():\n    try: ...\n    except: ..."}, "in f;"),
    (code_laws.asserts, {"hub/web/auth.py": "assert key == stored"}, "vanishes under python -O"),
    (code_laws.broad_excepts, {"db/a.py": "def f():\n    try: ...\n    except BaseException:\n        pass"}, "in f;"),
    (code_laws.exits, {"hub/server.py": "import sys\nsys.exit(1)"}, "only the doors"),
    (code_laws.exits, {"device/agent.py": "raise SystemExit(1)"}, "only the doors"),
    (code_laws.texts, {"dashboard/locales/en.json": '{"a": "A"}', "dashboard/locales/id.json": "{}"}, "lacks a"),
    (code_laws.texts, {"hub/cli/texts_en.json": '{"a": {"b": "B"}}'}, "texts_id.json lacks a.b"),
    (
        code_laws.texts,
        {"hub/cli/texts_en.json": '{"a": "{name} is"}', "hub/cli/texts_id.json": '{"a": "{nama} adalah"}'},
        "other places for values in a",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("law", "files", "said"), BREAKING, ids=lambda value: getattr(value, "__name__", None))
def test_a_tree_that_breaks_the_law_is_told_which(law: Law, files: dict[str, str], said: str, tmp_path: Path) -> None:
    broken = list(law(build(tmp_path, files)))
    assert broken, "nothing was found"
    assert any(said in sentence for sentence in broken), broken


def test_a_tree_that_keeps_every_law_is_left_alone(tmp_path: Path) -> None:
    house = build(
        tmp_path,
        {
            "run_hub.py": DOC + "import bootstrap\nfrom hub.cli import main",
            "bootstrap.py": DOC,
            "hub/__init__.py": DOC,
            "hub/settings.py": DOC,
            "hub/core/__init__.py": DOC,
            "hub/core/fleet.py": DOC + "from protocol import messages\nfrom hub import settings",
            "hub/flow/announce.py": DOC + "from db import machines\nfrom hub.core import fleet",
            "hub/web/pages.py": DOC + "from dashboard import charts\nfrom hub.flow import announce",
            "hub/app.py": DOC + "from hub.web import pages\ntry: ...\nexcept BaseException:\n    close()\n    raise",
            "db/migrate.py": DOC + "import sys\nif __name__ == '__main__':\n    sys.exit(1)",
            "hub/cli/main.py": DOC + "from hub import app\nimport sys\nsys.exit(0)",
            "db/machines.py": DOC + "import sqlalchemy",
            "device/core/outbox.py": DOC + "from protocol import messages",
            "device/spool.py": DOC + "from device.core import outbox",
            "device/agent.py": DOC + "from device import spool",
            "dashboard/charts.py": DOC,
            "protocol/messages.py": DOC,
            "dashboard/locales/en.json": '{"a": "{n} machines"}',
            "dashboard/locales/id.json": '{"a": "{n} mesin"}',
        },
    )
    assert [sentence for law in EVERY_LAW for sentence in law(house)] == []
