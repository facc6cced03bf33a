"""The settings form as values: what each field shows, and what sending it means. Pure. A field shows its value as
text, and where it comes from (`own` or inherited)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from dashboard import formats
from dashboard.reader import Reader
from dashboard.trouble import View

UNITS: Final[Mapping[str, str]] = {
    "session_timeout": "s", "sync_interval": "s", "backup_interval": "s", "metrics_interval": "s",
    "upload_interval": "s", "backup_retention": "d", "backup_rate": "KiB/s", "temperature_threshold": "°C",
    "cpu_threshold": "%", "memory_threshold": "%",
}  # fmt: skip
"""As `protocol.configuration` has them, which this room may not import; a test compares."""
VALUE, ORIGIN, SEEN = "v.", "o.", "w."
"""Of a key: value, origin, and both as the page was made."""
NUMBERS: Final = ("number", "whole")
LINES: Final = ("networks", "page_names")
"""A text each, one a line."""
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_EITHER: Final = re.compile(r"([-+]?[1-9]\d{0,2})([.,])(\d{3})", re.ASCII)
"""A thousand to one reader, a decimal to another."""


@dataclass(slots=True)
class SettingRow:
    """`text` and `own`: shown; `seen`: as made; `inherited` None: nothing stands behind an own value."""

    key: str
    kind: str
    text: str
    own: bool
    seen: str
    unit: str = ""
    bounds: tuple[float, float] | None = None
    inherited: str | None = None
    inherited_from: str = "default"
    changed: tuple[str, int, str] | None = None
    """By whom, when (ms), and the value before."""
    refused: str = ""
    fault: str = ""
    now: str = ""
    clash: bool = False

    def merge(self, form: Mapping[str, str]) -> bool:
        """Show what was typed. True: changed since the form was made."""
        text, seen = plain(form.get(VALUE + self.key, self.text)), plain(form.get(SEEN + self.key, self.seen))
        own = form.get(ORIGIN + self.key) == "own"
        if SEEN + self.key not in form or seen_of(own, text) == seen:
            return False
        self.text, self.own = text, own or not seen.startswith("1")
        self.clash = seen != self.seen
        return self.clash


def seen_of(own: bool, text: str) -> str:
    return f"{'1' if own else '0'}{plain(text)}"


def plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def text_of(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    if isinstance(value, float) and _EITHER.fullmatch(str(value)):
        return f"{value}0"
    if isinstance(value, list):
        return "\n".join(map(str, value) if kind in LINES else map(_entry, value))
    return str(value)


def value_of(text: str, kind: str) -> Any:
    """Unreadable ones stay text, for the hub to refuse."""
    text = plain(text)
    if kind == "switch":
        return {"on": True, "off": False}.get(text, text)
    if kind in NUMBERS:
        return _number(text)
    if kind == "list" or kind in LINES:
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        return lines if kind in LINES else [_meaning(line) for line in lines]
    return text


def requested(form: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """A value for each key with one of its own, None to inherit again. Only differences from the page count; typing
    into an inherited field makes it own."""
    found: dict[str, Any] = {}
    for key, kind in kinds.items():
        if VALUE + key not in form or SEEN + key not in form:
            continue
        own, text, seen = form.get(ORIGIN + key) == "own", form[VALUE + key], plain(form[SEEN + key])
        was_own, typed = seen.startswith("1"), plain(text) != seen[1:]
        if was_own and not own:
            found[key] = None
        elif typed or (own and not was_own):
            found[key] = value_of(text, kind)
    return found


def no_number(text: str, kind: str, language: str) -> tuple[str, dict[str, str]] | None:
    """Text key and its values; None: a number, or none expected."""
    text = plain(text)
    if kind not in NUMBERS or not isinstance(_number(text), str):
        return None
    either = _EITHER.fullmatch(text)
    if either is None:
        return "settings.no_number", {}
    whole, _, part = either.groups()
    short = part.rstrip("0") or "0"
    return "settings.thousand_or_part", {
        "typed": text,
        "whole": f"{whole}{part}",
        "part": f"{whole}{',' if language == 'id' else '.'}{short}" + ("0" if len(short) == 3 else ""),
    }


def _number(text: str) -> Any:
    if not _NUMBER.fullmatch(text) or _EITHER.fullmatch(text):
        return text
    number = float(text.replace(",", "."))
    if number in (float("inf"), float("-inf")):
        return text
    return int(number) if number == int(number) else number


def _entry(value: Any) -> str:
    if isinstance(value, str) and _meaning(value.strip()) == value and "\n" not in value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _meaning(line: str) -> Any:
    try:
        found = json.loads(line)
    except ValueError:
        return line
    return found if isinstance(found, (str, int, float, bool)) and found == found else line


def amount(r: Reader, value: float, unit: str = "") -> str:
    """With its unit; seconds in units that people count in, where those leave none out."""
    if unit == "s" and value >= 1 and value == int(value) and formats.is_whole_span(value):
        return r.span(value)
    text = formats.measured(value, r.language, grouped=bool(unit))
    return f"{text}{formats.THIN}{r.text_of('unit', unit)}" if unit else text


class Applied(NamedTuple):
    mark: str
    words: str
    errors: str


def applied(view: View, r: Reader) -> Applied:
    errors = view["config_refused"]
    refused = r.t("applied.errors", n=r.number(errors), count=errors) if errors else ""
    wanted, runs = view["config_wanted"], view["config_version"]
    if not wanted:
        return Applied("active", r.t("applied.own_file"), refused)
    if runs == wanted:
        return Applied("warn" if errors else "active", r.t("applied.same"), refused)
    away = view["connection"] in ("offline", "never")
    code = "applied.behind.offline" if away else "applied.behind"
    return Applied("late", r.t(code, wanted=wanted, n=runs), refused)
