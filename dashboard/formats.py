"""Numbers, ages and instants as a reader of each language writes them.

The page's `format.js` does the same with the browser's Intl; one table of examples holds both to it
(tests/dashboard/fixtures/formats.json). Time is an argument: nothing here reads a clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

THIN = "\u202f"
DEFAULT_ZONE = "Asia/Jakarta"
INDONESIAN_ZONES = {
    "Asia/Jakarta": "WIB",
    "Asia/Pontianak": "WIB",
    "Asia/Makassar": "WITA",
    "Asia/Ujung_Pandang": "WITA",
    "Asia/Jayapura": "WIT",
}
MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "id": ("Jan", "Feb", "Mar", "Apr", "Mei", "Jun", "Jul", "Agu", "Sep", "Okt", "Nov", "Des"),
}
WEEKDAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "id": ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu"),
}
UNITS = {"en": ("d", "h", "min", "s"), "id": ("hari", "jam", "mnt", "dtk")}
_FIRST_S = datetime(1, 1, 3, tzinfo=timezone.utc).timestamp()
_LAST_S = datetime(9999, 12, 29, tzinfo=timezone.utc).timestamp()
TOMORROW = {"en": ("today", "tomorrow", "yesterday"), "id": ("hari ini", "besok", "kemarin")}


def number(value: float, language: str, decimals: int = 0) -> str:
    """`1234.5` -> `1,234.5` or `1.234,5`. Halves go away from zero, as the browser's Intl rounds them."""
    nudged = value + (1e-9 if value >= 0 else -1e-9)
    text = f"{nudged:,.{decimals}f}"
    if text.strip("-0.,") == "":
        text = text.lstrip("-")
    if language == "id":
        text = text.replace(",", "\0").replace(".", ",").replace("\0", ".")
    return text.replace("-", "\u2212")


def percent(value: float, language: str) -> str:
    return f"{number(value, language)}{THIN}%"


def degrees(value: float, language: str) -> str:
    return f"{number(value, language, 1)}{THIN}°C"


def reading(metric: str, value: float, language: str) -> str:
    """One reading with its unit: percent for all but the temperature."""
    return degrees(value, language) if metric == "temperature" else percent(value, language)


def _parts(seconds: float) -> tuple[int, int, int, int]:
    whole = max(0, int(seconds))
    return whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60


def age(seconds: float, language: str) -> str:
    """The largest unit only: `12 s`, `6 min`, `3 h`, `2 d`."""
    for amount, unit in zip(_parts(seconds), UNITS[language], strict=True):
        if amount:
            return f"{amount}{THIN}{unit}"
    return f"0{THIN}{UNITS[language][3]}"


def span(seconds: float, language: str) -> str:
    """The two largest units: `6 min 30 s`, `2 d 4 h`."""
    named = [f"{n}{THIN}{unit}" for n, unit in zip(_parts(seconds), UNITS[language], strict=True)]
    amounts = _parts(seconds)
    first = next((i for i, n in enumerate(amounts) if n), 3)
    shown = [named[first]]
    if first < 3 and amounts[first + 1]:
        shown.append(named[first + 1])
    return " ".join(shown)


def offset(seconds: float, language: str) -> str:
    """A clock's difference with its sign: `+0.2 s`, `−3 min`."""
    size = abs(seconds)
    sign = "\u2212" if seconds < 0 and size >= 0.05 else "+"
    if size < 60:
        return f"{sign}{number(size, language, 1)}{THIN}{UNITS[language][3]}"
    return sign + span(size, language)


def zone(name: str | None) -> tzinfo:
    """The zone of that IANA name; the product's default for one nobody knows (the name came from a machine)."""
    return (_zone_info(name) if name else None) or _zone_info(DEFAULT_ZONE) or timezone(timedelta(hours=7), "WIB")


def _zone_info(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_label(name: str | None, at: datetime) -> str:
    """WIB, WITA or WIT; elsewhere `UTC+8`."""
    if name in INDONESIAN_ZONES:
        return INDONESIAN_ZONES[name]
    delta = at.astimezone(zone(name)).utcoffset() or timedelta()
    minutes = int(delta.total_seconds() // 60)
    sign = "\u2212" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "")


def clock(at: datetime, zone_name: str | None, language: str, *, seconds: bool = False) -> str:
    """`14:02` or `14.02`; with seconds `14:02:11`."""
    local = at.astimezone(zone(zone_name))
    text = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    return text.replace(":", ".") if language == "id" else text


def day_clock(at: datetime, now: datetime, zone_name: str | None, language: str) -> str:
    """`today 14:00`, `tomorrow 14:00`, else `23 Nov 14:00`."""
    local, here = at.astimezone(zone(zone_name)), now.astimezone(zone(zone_name))
    days = (local.date() - here.date()).days
    time = clock(at, zone_name, language)
    if days in (0, 1, -1):
        return f"{TOMORROW[language][days]} {time}"
    year = "" if local.year == here.year else f" {local.year}"
    return f"{local.day} {MONTHS[language][local.month - 1]}{year} {time}"


def date(at: datetime, zone_name: str | None, language: str) -> str:
    """A day as a heading: `Monday, 23 Nov 2026`."""
    local = at.astimezone(zone(zone_name))
    return f"{WEEKDAYS[language][local.weekday()]}, {local.day} {MONTHS[language][local.month - 1]} {local.year}"


def stamp(at: datetime, zone_name: str | None, language: str) -> str:
    """A whole instant for tooltips and records: `23 Nov 2026 14:02:11 WIB`."""
    local = at.astimezone(zone(zone_name))
    day = f"{local.day} {MONTHS[language][local.month - 1]} {local.year}"
    return f"{day} {clock(at, zone_name, language, seconds=True)} {zone_label(zone_name, at)}"


def instant(ms: float) -> datetime:
    """Epoch milliseconds as an aware UTC instant; one that no calendar holds in every zone (a machine whose clock says
    the year 9999) becomes the nearest that does."""
    return datetime.fromtimestamp(min(max(ms / 1000, _FIRST_S), _LAST_S), timezone.utc)
