"""How the code itself is built: purity, sizes, names, boundaries. Each law yields a sentence for every place
that breaks it. Exceptions are listed here by name, each with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.house import DOORS, House, Module

DRAWERS = re.compile(r"(^|_)(utils?|helpers?|common|misc)$")
MAX_FILE = 400
MAX_FUNCTION = 60

BROAD_EXCEPT: dict[str, str] = {
    "hub.links.session:LinkSession._work": "link: one machine's message must not end the others' links",
    "hub.web.api.endpoint:_run": "request: the API's answer to a bug is a 500 without its text",
    "hub.web.shell.page:WebPage.answer": "request: likewise for pages",
    "db.engine.pending:Pending._followed": "the writer's loop: a bug after one commit must not stop the others",
    "db.engine.sqlite_writer:SqliteWriter._one": "the writer's loop: a failed step belongs to its caller",
    "db.engine.postgres_writer:PostgresWriter._together": "the writer's loop: likewise",
    "db.engine.postgres_writer:PostgresWriter._alone": "the writer's loop: likewise",
    "db.engine.postgres_lane:PostgresLane._attempt": "the writer's loop: whatever befell a group, its callers are told",
    "device.link.reconnect:Reconnector._try_once": "link: the machine comes back whatever ended its last link",
    "device.commands.router:CommandRouter._take_turns": "command handler: a failed one is answered, the next done",
    "device.commands.work:CommandWork._outcome": "command handler: likewise for one that takes its time",
    "device.remote.access:RemoteAccessServer._serve": "a session: one that fails ends itself and nothing else",
    "device.remote.session.streams:StreamDispatcher._serve": "a stream: one that fails is reset, the others go on",
    "device.agent:Agent._for_ever": "a loop that must go on",
    "device.samples.sampler:Sampler._guarded": "sensors: files of the hardware hold anything",
    "device.system_monitor.jtop:JtopAdapter._fresh": "foreign client: may raise anything",
    "device.system_monitor.jtop:JtopAdapter._reopen": "foreign client: likewise",
    "device.system_monitor.jtop:JtopAdapter.close": "foreign client: likewise",
    "device.timezone.lookup:_ask": "foreign client over hostile input: whatever it raises, the next address is asked",
    "device.kernel.worker_thread:WorkerThread.call.job": "a thread: the exception is carried over to the caller",
}
"""`module:function` that may catch Exception and go on, with the boundary it is."""
TASK_KEEPERS: dict[str, str] = {
    "db.engine.postgres_lane": "one task, held by the lane and awaited by its close",
    "device.kernel.tasks": "the agent's own task group (Python 3.10 has none)",
}
"""`module` that may start tasks outside of a task group, with who holds them."""
EXITS = ("hub.cli", "device.cli.main", "hub.server.process")
"""The command lines, and the last resort of a hub that hangs while it ends."""
FROZEN = ("db.migrations.versions",)
"""Migrations: a list of tables as they were, never edited again; their length is no measure."""

DRAWER_LAW = "no utils, helpers or common: a function without a home is a missing noun"
SIZE_LAW = f"files up to {MAX_FILE} lines, functions up to {MAX_FUNCTION}"
DOCSTRING_LAW = "every module says its one job in a docstring"
TASK_LAW = "no bare create_task: a task belongs to a task group, or somebody named holds it"
EXCEPT_LAW = "`except Exception` that goes on only at the named boundaries (link, command handler, request, main loops)"
WAIT_LAW = "no asyncio.wait_for: before Python 3.12 it loses a cancellation that comes with its result"
ASSERT_LAW = "no assert in the product but for types: it vanishes under python -O, and with it whatever it guarded"
EXIT_LAW = "only the doors end the process"


def drawers(house: House) -> Iterator[str]:
    for module in house.modules.values():
        if any(DRAWERS.search(part) for part in module.name.split(".")):
            yield f"{module.shown}; the law: {DRAWER_LAW}"


def sizes(house: House) -> Iterator[str]:
    for module in house.modules.values():
        if module.lines > MAX_FILE:
            yield f"{module.shown} has {module.lines} lines; the law: {SIZE_LAW}"
        for name, function in module.functions():
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION and not module.within(*FROZEN):
                yield f"{module.shown}:{function.lineno} {name} has {length} lines; the law: {SIZE_LAW}"
    for path in sorted((house.root / "dashboard" / "static" / "js").rglob("*.js")):
        length = len(path.read_text(encoding="utf-8").splitlines())
        if length > MAX_FILE:
            yield f"{path.relative_to(house.root)} has {length} lines; the law: {SIZE_LAW}"


def docstrings(house: House) -> Iterator[str]:
    for module in house.modules.values():
        empty_package = module.path.name == "__init__.py" and not module.tree.body
        if not empty_package and not ast.get_docstring(module.tree):
            yield f"{module.shown}; the law: {DOCSTRING_LAW}"


def tasks(house: House) -> Iterator[str]:
    for module in house.written_like_the_product():
        thrown_away = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
        for node in module.nodes:
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            if called not in ("create_task", "ensure_future"):
                continue
            if id(node) in thrown_away or module.name not in TASK_KEEPERS:
                yield f"{module.shown}:{node.lineno} {ast.unparse(node.func)}; the law: {TASK_LAW}"


def waits(house: House) -> Iterator[str]:
    for module in house.written_like_the_product():
        for node in module.nodes:
            if not isinstance(node, ast.Call) or module.room == "scripts":  # a programmer's own, ended by ^C
                continue
            if module.resolve(node.func) == "asyncio.wait_for":
                yield f"{module.shown}:{node.lineno}; the law: {WAIT_LAW}"


def broad_excepts(house: House) -> Iterator[str]:
    for module in house.written_like_the_product():
        for owner, handler in broad_handlers(module):
            if f"{module.name}:{owner}" not in BROAD_EXCEPT:
                yield f"{module.shown}:{handler.lineno} in {owner or 'the module'}; the law: {EXCEPT_LAW}"


def broad_handlers(module: Module) -> Iterator[tuple[str, ast.ExceptHandler | ast.Call]]:
    """Handlers that catch everything and do not raise it on, each with the innermost function it stands in; likewise
    `contextlib.suppress`."""
    spans = [(f.lineno, f.end_lineno or f.lineno, name) for name, f in module.functions()]
    for node in module.nodes:
        if isinstance(node, ast.Call) and module.resolve(node.func) == "contextlib.suppress":
            caught: list[ast.expr | None] = list(node.args)
        elif isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
            caught = [node.type] if not isinstance(node.type, ast.Tuple) else list(node.type.elts)
        else:
            continue
        if any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in caught):
            around = [span for span in spans if span[0] <= node.lineno <= span[1]]
            yield max(around, default=(0, 0, ""))[2], node


def asserts(house: House) -> Iterator[str]:
    for module in house.written_like_the_product():
        for node in module.nodes:
            if isinstance(node, ast.Assert) and not ast.unparse(node.test).startswith("isinstance("):
                yield f"{module.shown}:{node.lineno}; the law: {ASSERT_LAW}"


def exits(house: House) -> Iterator[str]:
    for module in house.written_like_the_product():
        if module.within(*EXITS, *DOORS):
            continue
        for node in (inner for top in module.tree.body if not _is_door(top) for inner in ast.walk(top)):
            ends = isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "os._exit", "exit", "quit")
            raised = node.exc if isinstance(node, ast.Raise) else None
            if ends or (raised is not None and ast.unparse(raised).startswith("SystemExit")):
                yield f"{module.shown}:{getattr(node, 'lineno', 0)}; the law: {EXIT_LAW}"


def _is_door(node: ast.stmt) -> bool:
    """`if __name__ == "__main__":`: the file is a door of its own then."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


LAWS = (drawers, sizes, docstrings, tasks, waits, broad_excepts, asserts, exits)
