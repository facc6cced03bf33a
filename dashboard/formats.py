"""Numbers, ages and instants as each language writes them: marks, months and clocks from CLDR. Time is an argument.

`format.js` does the same with the browser's Intl; one table of examples holds both to it
(tests/dashboard/fixtures/formats.json). Ours, not CLDR's: day before month in English too; U+2212 as minus, U+202F
between amount and unit; units are short symbols."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import parse_pattern as date_pattern
from babel.numbers import parse_pattern as number_pattern

THIN = "\u202f"
DEFAULT_ZONE = "Asia/Jakarta"
INDONESIAN_ZONES = {
    "Asia/Jakarta": "WIB",
    "Asia/Pontianak": "WIB",
    "Asia/Makassar": "WITA",
    "Asia/Ujung_Pandang": "WITA",
    "Asia/Jayapura": "WIT",
}
EXACT: Final = Context(prec=400)
AMOUNTS = ("B", "kB", "MB", "GB", "TB")
UNITS = {"en": ("d", "h", "min", "s"), "id": ("hari", "jam", "mnt", "dtk")}
_FIRST_S = datetime(1, 1, 3, tzinfo=timezone.utc).timestamp()
_LAST_S = datetime(9999, 12, 29, tzinfo=timezone.utc).timestamp()
DAY: Final = "d MMM y"
TOMORROW = {"en": ("today", "tomorrow", "yesterday"), "id": ("hari ini", "besok", "kemarin")}


# Bound: one a language.
@cache
def locale(language: str) -> Locale:
    return Locale.parse({"en": "en_US", "id": "id_ID"}[language])


def number(value: float, language: str, decimals: int = 0, *, grouped: bool = True) -> str:
    """`1234.5` -> `1,234.5` or `1.234,5`. Halves go away from zero."""
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, EXACT)
    return _written(exact or abs(exact), language, decimals, grouped)


def measured(value: float, language: str, *, grouped: bool = True) -> str:
    decimals = 0 if value == int(value) else min(6, len(repr(float(value)).partition(".")[2]))
    return number(value, language, decimals, grouped=grouped)


# Bound: 4,096 texts, the least used goes first.
@lru_cache(maxsize=4096)
def _written(exact: Decimal, language: str, decimals: int, grouped: bool) -> str:
    pattern = ("#,##0" if grouped else "0") + "." * (decimals > 0) + "0" * decimals
    with localcontext(EXACT):
        text: str = number_pattern(pattern).apply(exact, locale(language))
    return text.replace("-", "\u2212")


def percent(value: float, language: str) -> str:
    return f"{number(value, language)}{THIN}%"


def degrees(value: float, language: str) -> str:
    return f"{number(value, language, 1)}{THIN}°C"


def reading(metric: str, value: float, language: str) -> str:
    return degrees(value, language) if metric == "temperature" else percent(value, language)


def amount(size: float, language: str) -> str:
    """Bytes: `214 MB`, `1.5 kB`."""
    value, unit = max(0.0, float(size)), 0
    while value >= 1000 and unit < len(AMOUNTS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{number(value, language, 1 if unit and value < 10 else 0)}{THIN}{AMOUNTS[unit]}"


def _parts(seconds: float) -> tuple[int, int, int, int]:
    whole = max(0, int(seconds))
    return whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60


def age(seconds: float, language: str) -> str:
    """`12 s`, `6 min`, `3 h`, `2 d`."""
    for amount, unit in zip(_parts(seconds), UNITS[language], strict=True):
        if amount:
            return f"{amount}{THIN}{unit}"
    return f"0{THIN}{UNITS[language][3]}"


def span(seconds: float, language: str) -> str:
    """`6 min 30 s`, `2 d 4 h`."""
    named = [f"{n}{THIN}{unit}" for n, unit in zip(_parts(seconds), UNITS[language], strict=True)]
    amounts = _parts(seconds)
    first = next((i for i, n in enumerate(amounts) if n), 3)
    shown = [named[first]]
    if first < 3 and amounts[first + 1]:
        shown.append(named[first + 1])
    return " ".join(shown)


def is_whole_span(seconds: float) -> bool:
    """Whether `span` says all of it."""
    parts = _parts(seconds)
    first = next((i for i, n in enumerate(parts) if n), 3)
    return not any(parts[first + 2 :])


def offset(seconds: float, language: str) -> str:
    """With a sign: `+0.2 s`, `−3 min`."""
    size = abs(seconds)
    sign = "\u2212" if seconds < 0 and size >= 0.05 else "+"
    if size < 60:
        return f"{sign}{number(size, language, 1)}{THIN}{UNITS[language][3]}"
    return sign + span(size, language)


def zone(name: str | None) -> tzinfo:
    return (_zone_info(name) if name else None) or _zone_info(DEFAULT_ZONE) or timezone(timedelta(hours=7), "WIB")


def is_zone(name: str) -> bool:
    return bool(name) and _zone_info(name) is not None


def _zone_info(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_label(name: str | None, at: datetime) -> str:
    """WIB, WITA or WIT; else `UTC+8`."""
    if name in INDONESIAN_ZONES:
        return INDONESIAN_ZONES[name]
    delta = at.astimezone(zone(name)).utcoffset() or timedelta()
    minutes = int(delta.total_seconds() // 60)
    sign = "\u2212" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "")


def clock(at: datetime, zone_name: str | None, language: str, *, seconds: bool = False) -> str:
    """`14:02` or `14.02`; with seconds `14:02:11`."""
    cldr = locale(language)
    text: str = cldr.datetime_skeletons["Hms" if seconds else "Hm"].apply(at.astimezone(zone(zone_name)), cldr)
    return text


def day(local: datetime, language: str, pattern: str = DAY) -> str:
    """Of an instant in its zone: `23 Nov 2026`."""
    return date_pattern(pattern).apply(local, locale(language))


def day_clock(at: datetime, now: datetime, zone_name: str | None, language: str) -> str:
    """`today 14:00`, `tomorrow 14:00`, else `23 Nov 14:00`."""
    local, here = at.astimezone(zone(zone_name)), now.astimezone(zone(zone_name))
    days = (local.date() - here.date()).days
    time = clock(at, zone_name, language)
    if days in (0, 1, -1):
        return f"{TOMORROW[language][days]} {time}"
    return f"{day(local, language, 'd MMM' if local.year == here.year else DAY)} {time}"


def date(at: datetime, zone_name: str | None, language: str) -> str:
    """`Monday, 23 Nov 2026`."""
    return day(at.astimezone(zone(zone_name)), language, f"EEEE, {DAY}")


def stamp(at: datetime, zone_name: str | None, language: str) -> str:
    """`23 Nov 2026 14:02:11 WIB`."""
    shown = day(at.astimezone(zone(zone_name)), language)
    return f"{shown} {clock(at, zone_name, language, seconds=True)} {zone_label(zone_name, at)}"


def instant(ms: float) -> datetime:
    """Aware UTC, at most the nearest that every zone's calendar holds."""
    return datetime.fromtimestamp(min(max(ms / 1000, _FIRST_S), _LAST_S), timezone.utc)
