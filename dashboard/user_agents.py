"""Names the browser and the device of a User-Agent header, which may say anything. Pure."""

from __future__ import annotations

from typing import Final

from dashboard.foreign_text import plain
from dashboard.reader import Reader

_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("CrOS", "ChromeOS"), ("Windows", "Windows"),
    ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip
"""In the order in which they are looked for: Edge also calls itself Chrome, and Chrome Safari."""
MOST: Final = 40


def device(r: Reader, user_agent: str | None) -> str:
    """`Chrome on Android`; a program by how it names itself."""
    text = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in text), "")
    system = next((name for mark, name in _SYSTEMS if mark in text), "")
    if browser and system:
        return r.t("session.on", browser=browser, system=system)
    return browser or plain(text.partition(" ")[0], MOST) or r.t("session.unknown")
