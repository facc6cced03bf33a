"""One door out: who may write rows, and who may write what the fleet holds in memory.

A statement can only be made in db/ (the SQL law). So whoever neither calls a function of db/ that gives one, nor gets
at the classes they are made of, nor has a store write, writes no row.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import House, Module

RECIPES = ("hub.kernel.recorder",)
"""How each Change is written: they alone call what db/ has for writing."""
WRITES: dict[str, tuple[str, ...]] = {
    "hub.kernel.commits": ("submit",),
    "hub.kernel.samples_lane": ("store_samples",),
}
"""The door itself: the commit (also the command line's), and the lane beside it on which samples are committed
in batches of their own, because a statement a sample would be too slow (`Announcer.keep` is the way to it)."""
STATEMENTS = "db.engine.statements"
WRITERS_IN_DB = (
    "db.engine.store",
    "db.engine.sqlite_writer",
    "db.engine.postgres_writer",
    "db.engine.postgres_lane",
    "db.engine.sqlite_transaction",
)
"""The store itself. Nothing else in db/ runs a statement that writes: queries return rows, or a Write for the door."""

FLEET = ("hub.model.fleet",)
"""Where Changes are applied."""
ROWS = frozenset({"row", "desired_settings", "zone", "pending", "remote_sessions", "boots"})
"""Members of a Machine that are rows of tables: written where Changes are applied, and nowhere else."""
OBSERVERS: dict[str, frozenset[str]] = {
    "hub.model.presence": frozenset(
        {"close_reason", "connection", "connection_reason", "connection_since", "grace", "interval", "interval_since",
         "last_gap", "last_heard", "linked", "quiet_until", "event_connection", "unlinked_at", "uploads"}
    ),
    "hub.metrics.rules": frozenset({"accepted"}),
    "hub.links.session": frozenset({"accepted", "seen_at"}),
    "hub.links.socket": frozenset({"epoch"}),
    "hub.machines.handlers": frozenset({"reported"}),
    "hub.kernel.loading": frozenset({"maybe_sent", "seen_at"}),
    "hub.kernel.observer": frozenset({"live_interval", "event_connection"}),
}  # fmt: skip
"""`module`: members of a Machine (or of its Boot) that are observed and no rows, and that it writes. The list may only
shrink."""
_CHANGE_IN_PLACE = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
     "setdefault", "update"}
)  # fmt: skip

DOOR_LAW = "one door out: rows are written by Changes that pass the announcer's commit, and by nothing else"
FLEET_LAW = (
    "the rows in memory are changed by applying Changes, and by nothing else; who writes what is observed of a machine "
    "is listed in door_laws.py"
)


def one_door(house: House) -> Iterator[str]:
    writing = frozenset(_writing_functions(house))
    for module in house.product():
        if module.room == "db":
            if not module.within(*WRITERS_IN_DB):
                yield from _store_writes(module, ())
            continue
        if module.name not in RECIPES:
            for name, line in module.names():
                of_the_door = name.rpartition(".")[0] in (STATEMENTS, *RECIPES) and module.name not in WRITES
                if name in writing or of_the_door:
                    yield f"{module.shown}:{line} uses {name}; the law: {DOOR_LAW}"
        yield from _store_writes(module, WRITES.get(module.name, ()))


def _writing_functions(house: House) -> Iterator[str]:
    """Functions of db/ that give a Write (or several), by their return type, which mypy holds them to."""
    for module in house.product():
        if module.room == "db":
            for name, function in module.functions():
                if function.returns is not None and "Write" in {
                    node.id for node in ast.walk(function.returns) if isinstance(node, ast.Name)
                }:
                    yield f"{module.name}.{name}"


def _store_writes(module: Module, may: tuple[str, ...]) -> Iterator[str]:
    for node in module.nodes:
        if not isinstance(node, ast.Attribute) or node.attr in may:
            continue
        owner = ast.unparse(node.value).rpartition(".")[2]
        if node.attr == "store_samples" or (node.attr in ("write", "submit") and owner.endswith("store")):
            yield f"{module.shown}:{node.lineno} {ast.unparse(node)}; the law: {DOOR_LAW}"


def fleet_writers(house: House) -> Iterator[str]:
    for module in house.product():
        if module.room != "hub" or module.name in FLEET:
            continue
        for member, line in written_members(house, module):
            if member in ROWS or member not in OBSERVERS.get(module.name, ()):
                yield f"{module.shown}:{line} writes {member} of a machine; the law: {FLEET_LAW}"


def written_members(house: House, module: Module) -> Iterator[tuple[str, int]]:
    """Members named like those of a Machine or a Boot that a module sets or changes in place, except its own."""
    members = frozenset(_members(house))
    for node in module.nodes:
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            target = node.value if isinstance(node, ast.Subscript) else node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGE_IN_PLACE:
            target = node.func.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            yield ast.unparse(node), node.lineno
            continue
        else:
            continue
        if isinstance(target, ast.Attribute) and target.attr in members and ast.unparse(target.value) != "self":
            yield target.attr, node.lineno


def _members(house: House) -> Iterator[str]:
    home = house.modules.get("hub.model.machine")
    for node in home.tree.body if home is not None else ():
        if isinstance(node, ast.ClassDef) and node.name in ("Machine", "Boot"):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield field.target.id


LAWS = (one_door, fleet_writers)
