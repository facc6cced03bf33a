"""Small trees, each of which breaks one law: the law, its files, and a part of the sentence that must be said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.support import bound_laws, code_laws, door_laws, import_laws, mirror_laws, pure_laws, text_laws
from tests.support.house import House

Law = Callable[[House], Iterator[str]]
DOC = '"""Its one job."""\n'
TWO_TABLES = {
    "db/statements.py": "class Write: ...",
    "db/boots.py": "from db.statements import Write\ndef delete(key: int) -> tuple[Write, ...]: ...",
    "hub/kernel/recorder.py": "from db import boots\nfrom db.statements import Write\nboots.delete(1)",
}
ONE_MACHINE = {"hub/model/machine.py": "class Machine:\n    told: str\nclass Boot:\n    id: int"}

BREAKING: list[tuple[Law, dict[str, str], str]] = [
    (
        import_laws.rooms,
        {"device/agent.py": "import hub.model.fleet"},
        "run_device -> device -> protocol, texts, certs",
    ),
    (import_laws.rooms, {"protocol/codec.py": "from db import schema"}, "import nothing of ours"),
    (import_laws.rooms, {"hub/app.py": "def late():\n    from device import spool"}, "hub/app.py:2"),
    (import_laws.rooms, {"hub/app.py": "import importlib\nimportlib.import_module('bench.storm')"}, "bench.storm"),
    (import_laws.rooms, {"hub/app.py": "import importlib\nimportlib.import_module(name)"}, "no law can see"),
    (
        import_laws.hub_layers,
        {"hub/model/fleet.py": "from hub.kernel import feed", "hub/kernel/feed.py": DOC},
        "kernel > rules > model",
    ),
    (
        import_laws.hub_layers,
        {"hub/web/pages.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hub.app import create_app"},
        "hub/web/pages.py:3",
    ),
    (import_laws.hub_layers, {"hub/settings.py": "import hub.model.fleet"}, "settings is a leaf"),
    (import_laws.device_layers, {"device/core/outbox.py": "import device.spool"}, "moving parts > core"),
    (import_laws.device_layers, {"device/spool.py": "from . import agent", "device/agent.py": DOC}, "device.agent"),
    (import_laws.cycles, {"hub/a.py": "import hub.b", "hub/b.py": "import hub.a"}, "hub.a -> hub.b -> hub.a"),
    (
        import_laws.cycles,
        {"db/a.py": "from db import b", "db/b.py": "def late():\n    from db.a import thing"},
        "db.a -> db.b -> db.a",
    ),
    (
        import_laws.rooms,
        {"demo/start.py": "run('-m', 'bench.storm')", "bench/storm.py": DOC},
        "names bench.storm in a",
    ),
    (import_laws.rooms, {"device/a.py": "run('hub.app:app')", "hub/app.py": DOC}, "device/a.py:1 names hub.app"),
    (import_laws.rooms, {"hub/app.py": "from scripts import docs", "scripts/docs.py": DOC}, "imports scripts.docs"),
    (import_laws.rooms, {"run_tests.py": "import hub.app", "hub/app.py": DOC}, "run_tests.py:1 imports hub.app"),
    (import_laws.rooms, {"bench/storm.py": "from tests.support import until"}, "bench/storm.py imports tests"),
    (
        import_laws.folder_circles,
        {"hub/web/a.py": "import hub.web.x.b", "hub/web/x/b.py": "import hub.web.c", "hub/web/c.py": DOC},
        "hub/web/x/b.py:1 makes a circle of hub.web.x and hub.web",
    ),
    (
        import_laws.folder_circles,
        {
            "db/a/m.py": "import db.b.m",
            "db/b/m.py": "import db.c.m",
            "db/c/m.py": "def late(): import db.a.n",
            "db/a/n.py": DOC,
        },
        "a circle of db.b and db.c",
    ),
    (import_laws.sql, {"hub/kernel/recorder.py": "from sqlalchemy import select"}, "no SQL outside db/"),
    (
        door_laws.one_door,
        TWO_TABLES | {"hub/web/a.py": "from db import boots as b\nb.delete(1)"},
        "hub/web/a.py:2 uses",
    ),
    (
        door_laws.one_door,
        TWO_TABLES | {"hub/cli/a.py": "from db.boots import delete as d\nd(1)"},
        "uses db.boots.delete",
    ),
    (door_laws.one_door, TWO_TABLES | {"hub/kernel/a.py": "from db.statements import Write\nWrite()"}, "db.statements"),
    (
        door_laws.one_door,
        TWO_TABLES | {"hub/kernel/a.py": "from hub.kernel.recorder import recipe_of\nrecipe_of(1)"},
        "a.py:2",
    ),
    (door_laws.one_door, {"hub/web/a.py": "async def f(call):\n    await call.context.store.write(1)"}, "a.py:2 call."),
    (
        door_laws.one_door,
        {"db/boots.py": "async def open_boot(store):\n    await store.write(1)"},
        "boots.py:2 store.write",
    ),
    (door_laws.one_door, {"hub/kernel/a.py": "async def f(s):\n    await s.store_samples(())"}, "s.store_samples"),
    (door_laws.fleet_writers, ONE_MACHINE | {"hub/web/a.py": "def f(m):\n    m.told = 'x'"}, "a.py:2 writes told"),
    (door_laws.fleet_writers, ONE_MACHINE | {"hub/model/a.py": "def f(m):\n    m.told.update(1)"}, "writes told"),
    (door_laws.fleet_writers, ONE_MACHINE | {"hub/kernel/a.py": "def f(m):\n    del m.told[1]"}, "writes told"),
    (door_laws.fleet_writers, ONE_MACHINE | {"hub/kernel/a.py": "def f(b):\n    b.x, b.id = 1, 2"}, "writes id"),
    (
        door_laws.fleet_writers,
        ONE_MACHINE | {"hub/kernel/a.py": "def f(m, n):\n    setattr(m, n, 1)"},
        "setattr(m, n, 1)",
    ),
    (pure_laws.purity, {"hub/model/fleet.py": "async def load(): ..."}, "hub/model/fleet.py:1 awaits"),
    (pure_laws.purity, {"device/core/outbox.py": "import time\nnow = time.monotonic()"}, "imports time"),
    (pure_laws.purity, {"protocol/codec.py": "from datetime import datetime\ndatetime.now()"}, "looks at a clock"),
    (pure_laws.purity, {"protocol/session.py": "import asyncio"}, "imports asyncio"),
    (pure_laws.purity, {"hub/model/fleet.py": "from db import machines", "db/machines.py": DOC}, "imports db.machines"),
    (
        pure_laws.purity,
        {"hub/model/fleet.py": "from hub import settings", "hub/settings.py": DOC},
        "imports hub.settings",
    ),
    (pure_laws.purity, {"hub/model/a.py": "from time import monotonic\nmonotonic()"}, "a.py:1 imports time"),
    (pure_laws.purity, {"hub/model/a.py": "import time as t\nt.monotonic()"}, "imports time"),
    (pure_laws.purity, {"hub/model/a.py": "from datetime import datetime as dt\ndt.now()"}, "datetime.datetime.now"),
    (pure_laws.purity, {"hub/model/a.py": "import datetime as d\nread = d.date.today"}, "a.py:2 looks at a clock"),
    (pure_laws.purity, {"hub/model/a.py": "def f(at):\n    return at.astimezone()"}, "for its time zone"),
    (pure_laws.purity, {"hub/model/a.py": "from secrets import token_hex"}, "imports secrets"),
    (pure_laws.purity, {"hub/model/a.py": "def late():\n    import random"}, "a.py:2 imports random"),
    (pure_laws.purity, {"protocol/a.py": "import uuid"}, "imports uuid"),
    (pure_laws.purity, {"device/core/a.py": "from os import environ"}, "imports os"),
    (pure_laws.purity, {"device/core/a.py": "from pathlib import Path"}, "imports pathlib"),
    (pure_laws.purity, {"device/core/a.py": "def f(name):\n    return open(name)"}, "a.py:2 uses open"),
    (pure_laws.purity, {"protocol/a.py": "from zoneinfo import ZoneInfo"}, "imports zoneinfo"),
    (pure_laws.purity, {"hub/model/a.py": "import uvicorn"}, "imports uvicorn"),
    (pure_laws.purity, {"hub/model/a.py": "from minio.error import S3Error"}, "imports minio.error"),
    (pure_laws.purity, {"protocol/a.py": "import h11, jinja2"}, "imports jinja2"),
    (bound_laws.tables, {"db/a.py": "import sqlalchemy as sa\nt = sa.Table('things', m)"}, "a.py:2 things has neither"),
    (
        bound_laws.tables,
        {"db/schema.py": "t = sa.Table('sessions', m)", "hub/kernel/a.py": "from db import sessions\nsessions.find(1)"},
        "nobody calls db.sessions.delete_expired_sessions",
    ),
    (
        bound_laws.memory,
        {"hub/a.py": "class A:\n    def __init__(self):\n        self.x: dict[int, int] = {}"},
        "self.x",
    ),
    (bound_laws.memory, {"hub/a.py": "_KNOWN: set[str] = set()  # a cache"}, "a.py:1 _KNOWN"),
    (bound_laws.memory, {"device/a.py": "@dataclass\nclass A:\n    x: list[int] = field(default_factory=list)"}, "A.x"),
    (bound_laws.memory, {"hub/a.py": "# Bound: two.\n_A = deque()\n_B = deque()"}, "a.py:3 _B"),
    (bound_laws.memory, {"hub/a.py": "_A: set[int] = {m.id for m in fleet}"}, "a.py:1 _A"),
    (bound_laws.memory, {"hub/a.py": "@lru_cache(maxsize=None)\ndef page(path): ..."}, "page (a cache)"),
    (
        mirror_laws.mirror,
        {"hub/web/shell/page.py": "def f(): ...", "tests/db/test_a.py": "import hub.web.shell.page"},
        "has no test",
    ),
    (mirror_laws.mirror, {"scripts/docs.py": "def f(): ...", "tests/hub/test_docs.py": DOC}, "scripts/docs.py has no"),
    (code_laws.drawers, {"hub/web/utils.py": DOC}, "a missing noun"),
    (code_laws.drawers, {"tests/support/page_helpers.py": DOC}, "a missing noun"),
    (code_laws.sizes, {"db/big.py": "\n" * 401}, "has 401 lines"),
    (code_laws.sizes, {"db/big.py": "class A:\n    def long(self):\n" + "        pass\n" * 60}, "A.long has 61 lines"),
    (code_laws.sizes, {"dashboard/static/js/big.js": "\n" * 401}, "big.js has 401 lines"),
    (code_laws.sizes, {"scripts/docs.py": "\n" * 401}, "has 401 lines"),
    (code_laws.docstrings, {"scripts/bare.py": "x = 1"}, "scripts/bare.py"),
    (code_laws.docstrings, {"db/bare.py": "x = 1"}, "db/bare.py"),
    (code_laws.tasks, {"hub/kernel/feed.py": "import asyncio\nasyncio.create_task(work())"}, "belongs to a task group"),
    (code_laws.tasks, {"hub/kernel/feed.py": "t = loop.create_task(work())"}, "belongs to a task group"),
    (code_laws.broad_excepts, {"hub/kernel/feed.py": "def f():\n    try: ...\n    except Exception: ..."}, "in f;"),
    (
        code_laws.broad_excepts,
        {"hub/kernel/feed.py": "try: ...\nexcept (OSError, BaseException): ..."},
        "in the module",
    ),
    (code_laws.broad_excepts, {"hub/kernel/feed.py": "def f():\n    try: ...\n    except: ..."}, "in f;"),
    (code_laws.asserts, {"hub/web/auth/identify.py": "assert key == stored"}, "vanishes under python -O"),
    (code_laws.broad_excepts, {"db/a.py": "def f():\n    try: ...\n    except BaseException:\n        pass"}, "in f;"),
    (code_laws.exits, {"scripts/docs.py": "raise SystemExit('no')"}, "only the doors"),
    (
        code_laws.broad_excepts,
        {"db/a.py": "import contextlib as c\ndef f():\n    with c.suppress(Exception): ..."},
        "in f;",
    ),
    (code_laws.broad_excepts, {"run_tests.py": "try: ...\nexcept Exception: ..."}, "run_tests.py:2"),
    (code_laws.exits, {"hub/serving.py": "import sys\nsys.exit(1)"}, "only the doors"),
    (code_laws.exits, {"device/agent.py": "raise SystemExit(1)"}, "only the doors"),
    (text_laws.texts, {"dashboard/locales/en.json": '{"a": "A"}', "dashboard/locales/id.json": "{}"}, "lacks a in id"),
    (text_laws.texts, {"hub/cli/locales/en.json": '{"a": "A"}'}, "hub/cli/locales lacks a in id"),
    (
        text_laws.texts,
        {"hub/cli/en.json": '{"a": "{name} is"}', "hub/cli/id.json": '{"a": "{nama} adalah"}'},
        "other places for values in a",
    ),
    (
        text_laws.texts,
        {"hub/cli/en.json": '{"a": {"other": "{n} days"}}', "hub/cli/id.json": '{"a": "{n} hari"}'},
        "other forms than ('one', 'other') in a",
    ),
    (
        text_laws.texts,
        {"hub/cli/en.json": '{"a": {"one": "1 day", "other": ""}}', "hub/cli/id.json": '{"a": "hari"}'},
        "nothing to say in a in en",
    ),
    (text_laws.texts, {"bootstrap.py": 'TEXTS = {"en": {"a": "A {b}"}, "id": {"a": "A"}}'}, "bootstrap.py:1 has other"),
]
