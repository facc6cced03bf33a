"""What may stand in the middle (protocol/, archive/manifest, certs/expiry, db/records, hub/model, rules), by a list of
what may be imported.

What is not on the list is not imported: so a library that waits, reads or is random fails without being known here.
Names are followed through the imports that bind them, however they are renamed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.support.house import House, Module

OF_THE_DATABASE = (
    "db.backup_records", "db.conditions", "db.enrolment_records", "db.notification_records", "db.records", "db.rows",
    "db.sign_in_records", "db.table_row", "db.trouble_records",
)  # fmt: skip
"""Values: the one form of a row, of what must hold of it, and of a sample from the wire to the table."""
RECORDS = (
    "db.backup_records", "db.enrolment_records", "db.notification_records", "db.records",
    "db.sign_in_records", "db.table_row", "db.trouble_records",
)  # fmt: skip
ALLOWED = frozenset(
    {"__future__", "array", "base64", "binascii", "collections", "collections.abc", "dataclasses", "datetime",
     "difflib", "enum", "functools", "hashlib", "hmac", "ipaddress", "itertools", "json", "math", "msgspec",
     "operator", "re", "string", "struct", "typing", "unicodedata"}
)  # fmt: skip
ALSO: dict[str, dict[str, str]] = {
    "hub.model.credentials": {
        "secrets": "draws at random for the whole middle what identifies or opens; nothing is decided by it",
        "argon2": "hashes passwords: arithmetic that takes long, with a salt that nothing is decided by",
    },
    "hub.people.two_step.rules": {
        f"cryptography.hazmat.primitives.{name}": "the arithmetic of RFC 4226 and 6238: key and counter in, digits out"
        for name in ("hashes", "twofactor.hotp", "twofactor.totp")
    },
    "protocol.addresses": {"urllib.parse": "takes a URL apart: text in, texts out"},
    "hub.notifications.rules": {"zoneinfo": "quiet hours: as hub.model.dating"},
    "hub.model.dating": {
        "zoneinfo": "the rules of time zones: a file, read once, as constant as the table of Unicode behind `re`",
    },
    "protocol.zones": {"zoneinfo": "the names of time zones: likewise"},
}
"""`module`: what it may import beyond that, each with its reason."""
CLOCKS = frozenset(
    {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"}
)
"""What the allowed modules have of clocks."""
WORLD = frozenset({"open", "input", "print", "exec", "eval", "compile", "breakpoint", "__import__"})
"""Builtins that reach outside of the values."""

PURE_LAW = (
    "what decides takes values and `now`: no await, socket, thread, clock, randomness, file or environment in "
    "protocol/, archive/manifest, certs/expiry, db/records, hub/model and rules; they import each other and what "
    "tests/support/pure_laws.py allows"
)


def is_pure(name: str) -> bool:
    """Whether a module decides or is what is decided about: the wire, records, the model, what is called `rules`."""
    parts = name.split(".")
    in_rules = parts[0] in ("hub", "device") and bool({"rules", "model"} & set(parts[2:]))
    archive = (["archive", "manifest"], ["archive", "acl"], ["archive", "errors"])
    values = (["hub", "model"], ["certs", "expiry"], *archive)
    return parts[0] == "protocol" or parts[:2] in values or name in RECORDS or in_rules


def purity(house: House) -> Iterator[str]:
    for module in house.product():
        if is_pure(module.name):
            for line, what in _outside(module):
                yield f"{module.shown}:{line} {what}; the law: {PURE_LAW}"


def _outside(module: Module) -> Iterator[tuple[int, str]]:
    for imported in module.imports:
        is_ours = imported.name in OF_THE_DATABASE or (
            is_pure(imported.name) and imported.name.partition(".")[0] in (module.room, "protocol", "archive", "certs")
        )
        if not is_ours and imported.name not in ALLOWED and imported.name not in ALSO.get(module.name, ()):
            yield imported.line, f"imports {imported.name}"
    for name, line in module.names():
        if name in CLOCKS:
            yield line, f"looks at a clock ({name})"
    for node in module.nodes:
        if isinstance(node, (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)):
            yield node.lineno, "awaits"
        elif isinstance(node, ast.Name) and node.id in WORLD and isinstance(node.ctx, ast.Load):
            yield node.lineno, f"uses {node.id}"
        elif isinstance(node, ast.Call) and not node.args and ast.unparse(node.func).endswith(".astimezone"):
            yield node.lineno, "asks this computer for its time zone"


LAWS = (purity,)
