"""Writes docs/protocol.md from the types of `protocol/`, its table, its limits and the golden frames.

python -m scripts.protocol_docs           writes the page
python -m scripts.protocol_docs --check   says (exit code 1) whether the page is out of date
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import msgspec.inspect as look

from hub.server.websocket_protocol import MAX_CONTROL_FRAMES_PER_S, MAX_FRAGMENTS
from protocol import board, commands, limits, transitions, version
from protocol import messages as m
from protocol.errors import CloseCode
from protocol.transitions import TRANSITIONS, Role, State
from scripts import tunnel_docs

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "protocol.md"
GOLDEN = ROOT / "tests" / "protocol" / "fixtures" / version.PRODUCT_VERSION

SHAPES = (m.Sample, m.Progress, m.Failure, m.Configuration, *board.SHAPES)
CLOSE_CODES = {
    CloseCode.NORMAL: "a goodbye that was said",
    CloseCode.UNSUPPORTED_DATA: "a binary frame",
    CloseCode.INVALID_TEXT: "a text frame that is not UTF-8",
    CloseCode.POLICY: "a rule of the server was broken",
    CloseCode.TOO_BIG: "a message over the limit",
    CloseCode.HUB_RESTARTING: "hub restarting: come back within the spread it named",
    CloseCode.OVERLOADED: "overloaded: come back later",
    CloseCode.PROTOCOL_ERROR: "protocol error; the `error` before it says which",
    CloseCode.NOT_AUTHENTICATED: "not authenticated",
    CloseCode.REVOKED: "the key was revoked",
    CloseCode.REPLACED: "replaced by a newer connection of the same machine",
    CloseCode.NO_COMMON_VERSION: "no common version of the protocol",
}

OPENING = f"""\
# The wire between a machine and the hub

Made from the types in `protocol/` by `python -m scripts.protocol_docs`; a test keeps it up to date. A client written
from this page alone works.

## Connection
* `GET /ws/device` as a WebSocket, over TLS except on loopback or behind a proxy that ends TLS. Subprotocol
  `{version.SUBPROTOCOL}`, protocol version {version.PROTOCOL_VERSION}.
* `Authorization: Bearer API_KEY` on the upgrade. A wrong or revoked key is answered with HTTP 401 before the upgrade. A
  client that cannot set headers sends `auth` as its first frame, within {limits.AUTH_TIMEOUT_S:.0f} s. Never a secret
  in a URL.
* Text frames, one JSON object each with a `type`, strict JSON (no NaN), {limits.MAX_MESSAGE_BYTES // 1024} KiB at most.
  Binary frames are an error.
* No permessage-deflate.
* **Unknown members are ignored, an unknown type is answered with `error` (`unsupported`) and ends nothing.** A wrong
  member is answered with `error` (`invalid`) that names it; once the link is live, that ends nothing either.
* A `metrics` frame with a reading that does not fit (a text, NaN, -1 %, 200 %) loses that reading only; it is
  named in an `error`. A sample whose `timestamp` cannot be read is not kept, but acknowledged with the others.
* A machine has a budget, by its links and by REST together. For long {limits.SAMPLES_PER_S:.0f} samples a second;
  a backlog is best sent at {limits.REPLAY_SAMPLES_PER_S:.0f} a second. Beyond the budget the hub reads more slowly
  (pings are answered late, which ends nothing) and REST answers 429 with `Retry-After`; a link or a boot too many is
  refused with 429, or 1013 after the upgrade.
* Pings every {limits.PING_INTERVAL_S:.0f} s with a time-out of {limits.PING_TIMEOUT_S:.0f} s from both ends.
* `hello` within {limits.HELLO_TIMEOUT_S:.0f} s of authentication.
* The newest connection of a machine wins: the older one is closed with {CloseCode.REPLACED.value}.

### Where the hub's sockets differ from what an RFC 6455 test suite expects
The sizes, fragments and closes of the Autobahn suite's echo parts run as `tests/hub/server/test_websocket_echo.py`. All
pass but these, which are meant:

* Part 9, messages of more than {limits.MAX_MESSAGE_BYTES // 1024} KiB, whole or in fragments: closed with 1009. No
  message of ours is larger, and a peer must not make us keep one.
* 9.3, 9.4, a message in more than {MAX_FRAGMENTS} frames, so one of 64 KiB in fragments of 64 bytes: closed with 1008.
  A fragment costs as much as a message.
* More than {MAX_CONTROL_FRAMES_PER_S} pings or pongs at once or a second (the suite's ten are answered): closed with
  1008. A flood of them is an attack.
* 6.4, text in fragments that is not UTF-8: closed with 1007 at the end of the message, not at its first wrong byte.
* 7.1.5, a close between the fragments of a message: closed with 1002 instead of 1000. The library under it takes the
  unfinished message for an error.
* A message that its sender closes behind without waiting for the answer is read; the answer may not be sent.
* 12 and 13, permessage-deflate: is not agreed to.

## Promises
* **Metrics**: at least once, de-duplicated by the hub on (machine, `boot_id`, `seq`). Only `metrics_ack` frees a spool.
* **Commands**: recorded before a byte leaves the hub; each ends in exactly one terminal state; the machine keeps a
  journal of ids, so a repeated id is answered from memory and never runs twice.
* **Repetition**: `status`, `event` and a final `command_update` are said again after a reconnect until `received`.
* **Order**: what one side sends on one connection is handled in order.
"""


def page() -> str:
    parts = [
        OPENING,
        "## The link as a table\n\n" + _states() + "\n" + _table(),
        "## Machine to hub\n\n" + "\n".join(_message(kind, "machine") for kind in get_args(m.MachineMessage)),
        "## Hub to machine\n\n" + "\n".join(_message(kind, "hub") for kind in get_args(m.HubMessage)),
        "## Shapes inside messages\n\n" + "\n".join(map(_shape, SHAPES)),
        "## Commands\n\n" + _commands(),
        tunnel_docs.chapter(_rows, lambda kind: f"{_docstring(kind)}\n\n{_members(kind)}"),
        "## Close codes\n\n" + _rows(("code", "when"), ((f"{c.value}", CLOSE_CODES[c]) for c in CloseCode)),
        "## Limits\n\n" + _rows(("name", "value", "why"), _limits()),
    ]
    return "\n".join(parts)


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _states() -> str:
    essay = inspect.cleandoc(transitions.__doc__ or "")
    lines = [line.strip() for line in essay.splitlines() if line.startswith("    ")]
    return _rows(("state", "what is so"), ((f"`{line.split()[0]}`", line.split(None, 1)[1]) for line in lines))


def _table() -> str:
    rows: list[tuple[str, ...]] = []
    for state in State:
        for role in Role:
            said = [(m_type, then) for (who, when, m_type), then in TRANSITIONS.items() if (who, when) == (role, state)]
            words = ", ".join(
                f"`{_tag(kind)}`" + (f" -> `{then.value.upper()}`" if then is not state else "") for kind, then in said
            )
            rows.append((f"`{state.value.upper()}`", role.value, words or "nothing"))
    return _rows(("in state", "who", "may say"), rows)


def _message(kind: Any, speaker: str) -> str:
    tag = _tag(kind)
    recorded = sorted(path for path in (GOLDEN / speaker).glob(f"{tag}*.json") if _is_of(path, tag))
    example = recorded[0].read_text(encoding="utf-8")
    return f"### `{tag}`\n\n{_docstring(kind)}\n\n{_members(kind)}\n```json\n{example}```\n"


def _is_of(path: Path, tag: str) -> bool:
    return path.read_text(encoding="utf-8").startswith(f'{{"type":"{tag}"')


def _shape(kind: Any) -> str:
    return f"### {kind.__name__}\n\n{_docstring(kind)}\n\n{_members(kind)}"


def _commands() -> str:
    note = "*Desired state* waits for an offline machine until it expires; every other command is refused then.\n\n"
    rows = []
    for name, kind in commands.ARGUMENTS.items():
        args = "; ".join(f"`{f.name}`{'' if f.required else '?'} {_type(f.type)}" for f in _fields(kind))
        rows.append((f"`{name}`", args or "none", "desired state" if name in commands.DESIRED_STATE else "immediate"))
    notes = [f"* `{n}`: {' '.join(_docstring(k).split())}" for n, k in commands.ARGUMENTS.items() if _docstring(k)]
    return "\n".join([note + _rows(("name", "args", "kind"), rows), *notes, ""])


def _tag(kind: Any) -> str:
    return str(kind.__struct_config__.tag)


def _docstring(kind: Any) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def _members(kind: Any) -> str:
    return _rows(
        ("member", "", "what"),
        ((f"`{f.name}`", "required" if f.required else "optional", _type(f.type)) for f in _fields(kind)),
    )


def _fields(kind: type[msgspec.Struct]) -> tuple[look.Field, ...]:
    info = look.type_info(kind)
    return info.fields if isinstance(info, look.StructType) else ()


def _type(info: look.Type) -> str:
    if isinstance(info, look.UnionType):
        return " or ".join(_type(each) for each in info.types if not isinstance(each, look.NoneType))
    if isinstance(info, look.LiteralType):
        return ", ".join(f"`{value}`" for value in info.values)
    if isinstance(info, look.StructType):
        return info.cls.__name__
    if isinstance(info, look.ListType):
        return f"list of {_type(info.item_type)}" + _bounds(info.min_length, info.max_length)
    if isinstance(info, look.TupleType):
        return "[" + ", ".join(map(_type, info.item_types)) + "]"
    if isinstance(info, look.DictType):
        free = isinstance(info.value_type, look.AnyType)
        return "object of free shape" if free else f"object of {_type(info.value_type)}"
    if isinstance(info, look.StrType):
        return "text" + _bounds(info.min_length, info.max_length, " characters")
    if isinstance(info, (look.IntType, look.FloatType)):
        word = "integer" if isinstance(info, look.IntType) else "number"
        return word + _bounds(info.ge, info.le)
    return "true or false" if isinstance(info, look.BoolType) else "any JSON"


def _bounds(least: float | None, most: float | None, unit: str = "") -> str:
    if most is None:
        return ""
    return f" ({least or 0:g}-{'2^63-1' if most == limits.MAX_INTEGER else f'{most:g}'}{unit})"


def _limits() -> Iterator[tuple[str, ...]]:
    body = ast.parse(inspect.getsource(limits)).body
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            why = inspect.cleandoc(ast.literal_eval(after.value)) if isinstance(after, ast.Expr) else ""
            name = statement.target.id
            yield (f"`{name}`", f"{getattr(limits, name)}", why.replace("\n", " "))


def main(argv: list[str]) -> int:
    text = page()
    if "--check" in argv:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print("docs/protocol.md is up to date" if current else "docs/protocol.md is out of date", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
