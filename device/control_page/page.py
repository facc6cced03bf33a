"""The control page as HTML in the reader's language; every value is escaped."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from device.texts import texts_in
from protocol.messages import Sample
from texts.catalogue import Texts


class Safe(str):
    __slots__ = ()


def text(value: object) -> Safe:
    """Escaped, without characters that turn or hide text."""
    if isinstance(value, Safe):
        return value
    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return Safe(html.escape(shown, quote=True))


def fill(template: str, **values: object) -> Safe:
    return Safe(template.format(**{name: text(value) for name, value in values.items()}))


def joined(parts: Iterable[Safe]) -> Safe:
    return Safe("".join(parts))


@dataclass(frozen=True)
class ShownSession:
    id: int
    admin: str
    address: str
    reason: str
    left_s: float


@dataclass(frozen=True)
class Snapshot:
    """`services`: name and state (a code of the page's texts or systemd's word); `log`: oldest line first."""

    device_id: str
    version: str
    hub: str
    is_linked: bool
    hardware: Mapping[str, object]
    status: str
    capacity: int | None
    sample: Sample | None
    visits: Sequence[ShownSession] = ()
    services: Sequence[tuple[str, str]] = ()
    log: Sequence[str] = field(default=(), repr=False)


STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#1b1f24;background:#fff}"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin:1.5rem 0 .25rem}"
    "dl{display:grid;grid-template-columns:minmax(7rem,12rem) 1fr;gap:.1rem 1rem;margin:0}"
    "dt{color:#57606a}dd{margin:0;overflow-wrap:anywhere}"
    "pre{background:#f6f8fa;padding:.75rem;overflow:auto;max-height:24rem;white-space:pre-wrap;overflow-wrap:anywhere}"
    "input,button{font:inherit;min-height:44px;padding:0 .75rem}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}dt{color:#9198a1}"
    "pre{background:#161b22}a{color:#79b8ff}}"
)
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
REFRESH_S: Final = 5
_PAGE: Final = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1">{refresh}<title>{title}</title>'
    "<style>{style}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
)
_SHARES: Final = ("cpu_usage", "memory_usage", "disk_usage", "gpu_usage")


def machine(shown: Snapshot, language: str, *, refreshes: bool = False) -> str:
    texts = texts_in(language)
    body = joined([
        fill("<p>{text}</p>", text=texts("page_read_only")),
        fill('<p><a href="{href}">{text}</a></p>', href="?" if refreshes else "?every=5",
             text=texts("page_refresh_off" if refreshes else "page_refresh")),
        _section(texts("page_identity"), _pairs(_identity(shown, texts))),
        _section(texts("page_visits"), _visits(shown, texts)),
        _section(texts("page_readings"), _readings(shown, texts)),
        _section(texts("page_services"), _services(shown, texts)),
        _section(texts("page_log"), fill('<p><a href="log.txt">{text}</a></p><pre>{lines}</pre>',
                                         text=texts("page_log_plain"), lines="\n".join(shown.log))),
    ])  # fmt: skip
    return _whole(texts("page_title", device_id=shown.device_id), body, language, refreshes=refreshes)


def ticket_form(language: str, *, was_wrong: bool) -> str:
    texts = texts_in(language)
    wrong = fill('<p role="alert">{text}</p>', text=texts("page_ticket_wrong")) if was_wrong else Safe("")
    body = fill(
        '{wrong}<p>{what}</p><form method="post" action="enter"><p><label>{label} '
        '<input name="ticket" autocomplete="off" required maxlength="100"></label> <button>{enter}</button></p></form>',
        wrong=wrong,
        what=texts("page_ticket_what"),
        label=texts("page_ticket_label"),
        enter=texts("page_ticket_enter"),
    )
    return _whole(texts("page_ticket_title"), body, language)


def refusal(code: str, language: str) -> str:
    return _whole(texts_in(language)(code), Safe(""), language)


def _whole(title: str, body: Safe, language: str, *, refreshes: bool = False) -> str:
    refresh = fill('<meta http-equiv="refresh" content="{every}">', every=REFRESH_S) if refreshes else Safe("")
    return fill(_PAGE, language=language, title=title, body=body, style=Safe(STYLE), refresh=refresh)


def _section(title: str, body: Safe) -> Safe:
    return fill("<section><h2>{title}</h2>{body}</section>", title=title, body=body)


def _pairs(pairs: Sequence[tuple[str, object]]) -> Safe:
    rows = joined(fill("<dt>{name}</dt><dd>{value}</dd>", name=name, value=value) for name, value in pairs)
    return fill("<dl>{rows}</dl>", rows=rows)


def _identity(shown: Snapshot, texts: Texts) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = [
        (texts("page_device_id"), shown.device_id),
        (texts("page_status"), shown.status),
        (texts("page_link"), texts("page_linked" if shown.is_linked else "page_not_linked")),
        (texts("page_hub"), shown.hub),
        (texts("page_version"), shown.version),
    ]
    if shown.capacity is not None:
        pairs.insert(2, (texts("page_capacity"), f"{shown.capacity} %"))
    known = [name for name in ("model", "hostname", "os", "kernel") if name in shown.hardware]
    return [*pairs, *((texts(f"page_{name}"), shown.hardware[name]) for name in known)]


def _visits(shown: Snapshot, texts: Texts) -> Safe:
    if not shown.visits:
        return fill("<p>{text}</p>", text=texts("page_no_visit"))
    sentences = (
        texts(
            "page_visit",
            admin=one.admin,
            address=one.address,
            minutes=max(0, round(one.left_s / 60)),
            reason=one.reason,
        )
        for one in shown.visits
    )
    return joined(fill("<p>{text}</p>", text=sentence) for sentence in sentences)


def _readings(shown: Snapshot, texts: Texts) -> Safe:
    sample = shown.sample
    if sample is None:
        return fill("<p>{text}</p>", text=texts("page_no_readings"))
    shapes: dict[str, Callable[[float], str]] = {
        **dict.fromkeys(_SHARES, lambda value: f"{value:.0f} %"),
        "temperature": lambda value: f"{value:.0f} °C",
        "power_w": lambda value: f"{value:.1f} W",
        "network_rx_bytes_s": lambda value: f"{value / 1000:.1f} kB/s",
        "network_tx_bytes_s": lambda value: f"{value / 1000:.1f} kB/s",
        "uptime_s": lambda value: f"{int(value) // 3600} h {int(value) % 3600 // 60} min",
    }
    reasons = sample.reasons or {}
    pairs = []
    for name, shape in shapes.items():
        value = getattr(sample, name)
        if value is not None or name in reasons:
            pairs.append((texts(f"page_{name}"), reasons.get(name, "") if value is None else shape(value)))
    return joined([_pairs(pairs), fill("<p>{text}</p>", text=texts("page_taken", when=sample.timestamp))])


def _services(shown: Snapshot, texts: Texts) -> Safe:
    if not shown.services:
        return fill("<p>{text}</p>", text=texts("page_no_services"))
    own = {state: texts(f"page_state_{state}") for state in ("answers", "silent", "on_demand", "unknown")}
    return _pairs([
        (texts("page_port", port=name) if name.isdecimal() else name, text(own.get(state, state)))
        for name, state in shown.services
    ])  # fmt: skip
