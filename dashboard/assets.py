"""The files a page needs, made once at start: one style sheet, one script a kind of page, icons and plotly.js.

Every address carries a fingerprint of its content, so a browser keeps a file for ever and never has an old one. Knows
no request: it answers a name with bytes and headers.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dashboard import bundler
from dashboard.texts import LANGUAGES, dictionary

STATIC = Path(__file__).parent / "static"
STYLES = ("tokens", "base", "frame", "fleet", "machine", "jobs", "settings", "events", "remote")
PAGES = ("fleet", "machine", "settings", "jobs", "events", "add", "plain", "remote", "recording")
LATER = {"fleet": ("bulk",), "remote": ("session",)}
"""Scripts a page may fetch when they are needed; their words come with the page."""
ANYWHERE = ("lease",)
"""Those that every page may need."""
FOREVER = "public, max-age=31536000, immutable"
XTERM = Path(__file__).parent.parent / "node_modules/@xterm"
SCREEN = {
    "xterm.mjs": "xterm/lib/xterm.mjs",
    "xterm-fit.mjs": "addon-fit/lib/addon-fit.mjs",
    "xterm.css": "xterm/css/xterm.css",
}
"""What a terminal is drawn with: fetched when somebody presses Connect or Play. From npm; without it there is none."""
BASIC_BUNDLE = Path(__file__).parent.parent / "node_modules/plotly.js-basic-dist-min/plotly-basic.min.js"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent; `packed` is the gzip form of `plain`."""

    address: str
    media_type: str
    plain: bytes
    packed: bytes
    etag: str


@dataclass(frozen=True)
class Assets:
    """All of them: templates ask by name, browsers by address."""

    by_name: Mapping[str, Asset]
    by_address: Mapping[str, Asset]
    said: Mapping[tuple[str, str], str]

    def __getitem__(self, name: str) -> str:
        """The address of a named asset."""
        return self.by_name[name].address

    def optional(self, name: str) -> str:
        """The same, or "" for one that is not installed."""
        return self.by_name[name].address if name in self.by_name else ""

    def words(self, page: str, language: str) -> str:
        """The texts that page's script names, as JSON. They travel with the page: one script for all languages."""
        return self.said[page, language]


@cache
def assets() -> Assets:
    """Bundled, fingerprinted and packed; the first call takes about half a second (plotly.js is packed in it)."""
    found = {name: _asset(name, media, content) for name, media, content in _sources()}
    said = {(page, language): _json(_texts_for(page, language)) for page in PAGES for language in LANGUAGES}
    return Assets(found, {asset.address: asset for asset in found.values()}, said)


_lock = threading.Lock()


def load() -> Assets:
    """The same, safe from several threads at once: it is made only once."""
    with _lock:
        return assets()


def plotly_file() -> Path:
    """plotly.js as installed: the small bundle from npm where it is, else the full one inside the Python package."""
    if BASIC_BUNDLE.is_file():
        return BASIC_BUNDLE
    package = importlib.util.find_spec("plotly")
    if package is None or package.origin is None:
        raise FileNotFoundError("plotly is not installed")
    return Path(package.origin).parent / "package_data" / "plotly.min.js"


def style() -> str:
    """The one style sheet: comments and line breaks left out."""
    text = "".join((STATIC / "css" / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    kept = []
    while text:
        before, _, rest = text.partition("/*")
        kept.append(before)
        text = rest.partition("*/")[2]
    return "\n".join(line.strip() for line in "".join(kept).splitlines() if line.strip())


def _sources() -> list[tuple[str, str, bytes]]:
    later = [name for names in (*LATER.values(), ANYWHERE) for name in names]
    made = [("style.css", "text/css; charset=utf-8", style().encode())]
    made += [
        (f"{page}.js", "text/javascript; charset=utf-8", bundler.bundle(_entry(page)).encode())
        for page in (*PAGES, *later)
    ]
    made += [
        (f"{name}.svg", "image/svg+xml", (STATIC / "icons" / f"{name}.svg").read_bytes())
        for name in ("icon", "icon-badge")
    ]
    made.append(("plotly.js", "text/javascript; charset=utf-8", plotly_file().read_bytes()))
    return made + _screen()


def _screen() -> list[tuple[str, str, bytes]]:
    """xterm.js as installed, without the address of a map that we do not serve; nothing when a part is missing."""
    files = {name: XTERM / where for name, where in SCREEN.items()}
    if not all(file.is_file() for file in files.values()):
        return []
    kinds = {".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
    plain = {
        name: file.read_text(encoding="utf-8").partition("//# sourceMappingURL=")[0] for name, file in files.items()
    }
    return [(name, kinds[files[name].suffix], text.encode()) for name, text in plain.items()]


def _texts_for(page: str, language: str) -> dict[str, str]:
    texts = dictionary(language)
    named = [bundler.texts_for(_entry(script), texts) for script in (page, *LATER.get(page, ()), *ANYWHERE)]
    return {key: text for found in named for key, text in found.items()}


def _entry(page: str) -> Path:
    return STATIC / "js" / "views" / f"{page}.js"


def _asset(name: str, media_type: str, content: bytes) -> Asset:
    mark = hashlib.sha256(content).hexdigest()[:12]
    stem, _, ending = name.rpartition(".")
    # No time in the gzip header: the same content must give the same bytes on every hub.
    packed = gzip.compress(content, 6 if len(content) > 500_000 else 9, mtime=0)
    return Asset(f"/static/{stem}.{mark}.{ending}", media_type, content, packed, f'"{mark}"')


def _json(texts: Mapping[str, str]) -> str:
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
