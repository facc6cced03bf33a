"""What is stored has an end: each table has a retention or a written bound, and each map in memory says its own.

A map, list, set or queue that a module holds or an object is made with, and that begins empty, is there to grow; so is
one that begins with what a comprehension finds and is declared as something that can grow. Its bound stands beside
it, as a comment or as the string below it that begins with `Bound:`; a `deque(maxlen=...)` says it by itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import House, Module

GROWING = (
    "dict", "list", "set", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter", "ChainMap", "Queue",
    "SimpleQueue", "LifoQueue", "PriorityQueue", "WeakKeyDictionary", "WeakValueDictionary", "WeakSet",
)  # fmt: skip
CACHES = ("cache", "lru_cache")
ROOMS = ("hub", "device", "protocol", "archive", "db")
SAID = "Bound:"
TEXT = '"""'

RETENTION: dict[str, str] = {
    "backup_logs": "db.queries.backups.delete_backups_before",
    "backup_restores": "db.queries.backups.delete_restores_before",
    "commands": "db.queries.commands.delete_commands_before",
    "enrolment_codes": "db.queries.enrolments.delete_codes_before",
    "enrolments": "db.queries.enrolments.delete_enrolments_before",
    "machine_boots": "db.queries.boots.delete_boots_before",
    "notifications": "db.queries.notifications.delete_notifications_before",
    "remote_access_sessions": "db.queries.remote_sessions.delete_sessions_before",
    "remote_recordings": "db.queries.recordings.ended_before",
    "sessions": "db.queries.credentials.delete_expired_sessions",
    "sign_in_failures": "db.queries.credentials.delete_failures_before",
    "sign_in_links": "db.queries.credentials.delete_expired_links",
    "status_history": "db.queries.statuses.delete_statuses_before",
    "system_metrics": "db.queries.samples.delete_samples_before",
    "timezone_sync_logs": "db.queries.timezones.delete_logs_before",
    "tokens": "db.queries.credentials.delete_tokens_before",
    "troubles": "db.queries.troubles.delete_troubles_before",
}
"""Table and the function that deletes or finds what is old of it, called by the product. When: docs/operating.md."""
BOUNDED: dict[str, str] = {
    "backup_parts": "the parts of open uploads: as many as a backup may be large, gone with its end",
    "counters": "one row",
    "device_timezones": "one row a machine",
    "events": "none, on purpose: nobody may shorten the audit log; what a machine adds is paced (docs/operating.md)",
    "fleet_config": "one row",
    "machine_configs": "one row a machine",
    "notification_destinations": "hub.notifications.api.MOST",
    "recovery_codes": "hub.people.two_step.rules.RECOVERY_CODES a person",
    "reverse_vending_machines": "what administrators enrolled",
    "saved_views": "hub.saved_views.rules.MAX_VIEWS a person",
    "two_steps": "one row a person",
    "user_machines": "a technician's machines",
    "user_tags": "a technician's tags, hub.model.machine.MAX_TAGS_OF_USER each",
    "users": "whom administrators added",
}
"""Tables that nothing ages in, and how large each may become."""

TABLE_LAW = "every table has a retention that the product calls, or a written bound (tests/support/bound_laws.py)"
MEMORY_LAW = f"what grows in memory says how far: a comment or a string at it that begins with `{SAID}`"


def tables(house: House) -> Iterator[str]:
    called = {
        name
        for module in house.product()
        if module.room == "hub"
        for name, _ in module.names()
        if name.startswith("db.")
    }
    for name, module, line in stored_tables(house):
        purge = RETENTION.get(name)
        if purge is None and name not in BOUNDED:
            yield f"{module.shown}:{line} {name} has neither; the law: {TABLE_LAW}"
        if purge is not None and purge not in called:
            yield f"{module.shown}:{line} {name}: nobody calls {purge}; the law: {TABLE_LAW}"


def stored_tables(house: House) -> Iterator[tuple[str, Module, int]]:
    """Every table of the metadata: its name, and where it stands. Migrations make them as they once were."""
    for module in house.product():
        for node in module.nodes if module.room == "db" and not module.within("db.migrations") else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Table":
                yield ast.literal_eval(node.args[0]), module, node.lineno


def memory(house: House) -> Iterator[str]:
    for module in house.product():
        if module.room in ROOMS:
            lines = module.path.read_text(encoding="utf-8").splitlines()
            for name, first, last in _growing(module):
                if SAID not in _beside(lines, first, last):
                    yield f"{module.shown}:{first} {name}; the law: {MEMORY_LAW}"


def _beside(lines: list[str], first: int, last: int) -> str:
    """The statement of these lines with the comment right above it and the string right below."""
    start, end = first - 1, last
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    if lines[end : end + 1] and lines[end].lstrip().startswith(TEXT):
        end += 1
        while end < len(lines) and "\n".join(lines[last:end]).count(TEXT) < 2:
            end += 1
    return "\n".join(lines[start:end])


def _growing(module: Module) -> Iterator[tuple[str, int, int]]:
    """Name, first and last line of what a module, a class or an object of a class holds and fills."""
    yield from _held(module.tree.body, "")
    for node in module.nodes:
        if isinstance(node, ast.ClassDef) and not _is_value(node):
            yield from _held(node.body, f"{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                if _cache_without_end(decorator):
                    yield f"{node.name} (a cache)", decorator.lineno, node.lineno
            if node.name == "__init__":
                yield from _held([child for child in ast.walk(node) if isinstance(child, ast.stmt)], "", "self.")


def _is_value(node: ast.ClassDef) -> bool:
    """A message, a record, a frozen dataclass: as large as what it was made of, and gone with it."""
    frozen = (*node.keywords, *(k for d in node.decorator_list if isinstance(d, ast.Call) for k in d.keywords))
    return any(k.arg == "frozen" for k in frozen) or any(
        ast.unparse(base).endswith(("Struct", "NamedTuple")) for base in node.bases
    )


def _held(body: list[ast.stmt], prefix: str, owner: str = "") -> Iterator[tuple[str, int, int]]:
    for node in body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            said = ast.unparse(node.annotation).partition("[")[0] if isinstance(node, ast.AnnAssign) else ""
            filled = said in GROWING and isinstance(node.value, (ast.DictComp, ast.ListComp, ast.SetComp))
            if said == "Mapping" or not (filled or grows(node.value)):
                continue
            target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            if target.startswith(owner):
                yield prefix + target, node.lineno, node.end_lineno or node.lineno


def grows(value: ast.expr) -> bool:
    """An empty container, or the making of one: `{}`, `deque([first])`, `field(default_factory=dict)`."""
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List):
        return not value.elts
    if not isinstance(value, ast.Call):
        return False
    called = ast.unparse(value.func).rpartition(".")[2].partition("[")[0]
    if called == "field":
        return any(k.arg == "default_factory" and _factory(k.value) for k in value.keywords)
    if called in ("dict", "list", "set") and value.args:
        return False  # a copy
    return called in GROWING and not any(k.arg == "maxlen" for k in value.keywords)


def _factory(made: ast.expr) -> bool:
    if isinstance(made, ast.Lambda):
        return grows(made.body)
    return ast.unparse(made).rpartition(".")[2].partition("[")[0] in GROWING


def _cache_without_end(decorator: ast.expr) -> bool:
    name = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).rpartition(".")[2]
    if name == "cache":
        return True
    sizes = [*decorator.args, *(k.value for k in decorator.keywords)] if isinstance(decorator, ast.Call) else []
    return name == "lru_cache" and any(isinstance(s, ast.Constant) and s.value is None for s in sizes)


LAWS = (tables, memory)
