"""The files a page needs, made once: a style sheet, a script a kind of page, icons and plotly.js.

esbuild bundles scripts and style sheets; without it they are sent as they are. Every address has a fingerprint of
its content. With a script come the texts whose keys, or their beginnings, it has as literals."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dashboard import esbuild
from dashboard.esbuild import STATIC
from dashboard.texts import texts_in
from texts.catalogue import Forms
from texts.languages import LANGUAGES

PAGES = (
    "fleet", "machine", "settings", "jobs", "events", "add", "plain", "remote", "recording", "backups", "drawn",
    "scan", "history",
)  # fmt: skip
LATER = {"fleet": ("bulk", "choices", "groups", "kiosk", "many", "row_menu", "spoken"), "remote": ("session",)}
"""Scripts that a page may fetch; their texts come with the page."""
ANYWHERE = ("hands", "lease", "palette")
SHEETS = ("style", "map", "kiosk", "cards")
"""Every page has the first, its own page each other."""
ENTRIES = {
    **{f"{name}.css": STATIC / "css" / f"{name}.css" for name in SHEETS},
    **{
        f"{name}.js": STATIC / "js/views" / f"{name}.js"
        for name in (*PAGES, *(late for names in LATER.values() for late in names), *ANYWHERE)
    },
}
LITERAL = re.compile(r"""(["'`])([\w.]+)\1""")
BEGINNING = re.compile(r"`(\w+\.[\w.]*)\$\{")
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOREVER = "public, max-age=31536000, immutable"
XTERM = Path(__file__).parent.parent / "node_modules/@xterm"
SCREEN = {
    "xterm.mjs": "xterm/lib/xterm.mjs",
    "xterm-fit.mjs": "addon-fit/lib/addon-fit.mjs",
    "xterm.css": "xterm/css/xterm.css",
}
"""Of a terminal; from npm, without it there is none."""
BASIC_BUNDLE = Path(__file__).parent.parent / "node_modules/plotly.js-basic-dist-min/plotly-basic.min.js"


@dataclass(frozen=True, slots=True)
class Asset:
    """`packed`: gzip of `plain`."""

    address: str
    media_type: str
    plain: bytes
    packed: bytes
    etag: str


@dataclass(frozen=True)
class Assets:
    by_name: Mapping[str, Asset]
    by_address: Mapping[str, Asset]
    page_words: Mapping[tuple[str, str], str]

    def __getitem__(self, name: str) -> str:
        return self.by_name[name].address

    def optional(self, name: str) -> str:
        return self.by_name[name].address if name in self.by_name else ""

    def words(self, page: str, language: str) -> str:
        return self.page_words[page, language]


@cache  # Bound: one a base path; a process has one hub, a test's a few
def assets(base_path: str = "") -> Assets:
    """The first call takes 0.25 s. `base_path`: as of the hub's settings, for scripts (addresses are without it)."""
    bundles = esbuild.bundles(ENTRIES, base_path)
    ours = _as_they_are(base_path) if bundles is None else _named(bundles)
    page_words = {
        (page, language): _words(ours, page, language, bundled=bundles is not None)
        for page in PAGES
        for language in LANGUAGES
    }
    found = {**ours, **_named(_foreign_and_icons())}
    return Assets(found, {asset.address: asset for asset in found.values()}, page_words)


_lock = threading.Lock()


def load(base_path: str = "") -> Assets:
    """Thread-safe."""
    with _lock:
        return assets(base_path)


def ready() -> bool:
    return assets.cache_info().currsize > 0


def plotly_file() -> Path:
    """npm's small bundle, else the Python package's full one."""
    if BASIC_BUNDLE.is_file():
        return BASIC_BUNDLE
    package = importlib.util.find_spec("plotly")
    if package is None or package.origin is None:
        raise FileNotFoundError("plotly is not installed")
    return Path(package.origin).parent / "package_data" / "plotly.min.js"


def _as_they_are(base_path: str) -> dict[str, Asset]:
    """Also by name; one fingerprint for all, as they import each other."""
    paths = sorted(path for path in STATIC.rglob("*") if path.suffix in (".js", ".css"))
    written = json.dumps(base_path).encode()
    files = {
        path.relative_to(STATIC).as_posix(): path.read_bytes().replace(esbuild.BASE_PATH.encode(), written)
        for path in paths
    }
    mark = _mark(b"".join(name.encode() + b"\0" + content for name, content in files.items()))
    every = {name: _packed(f"/static/{mark}/{name}", content) for name, content in files.items()}
    return {**every, **{name: every[path.relative_to(STATIC).as_posix()] for name, path in ENTRIES.items()}}


def _named(files: Mapping[str, bytes]) -> dict[str, Asset]:
    split = {name: name.rpartition(".") for name in files}
    return {
        name: _packed(f"/static/{split[name][0]}.{_mark(content)}.{split[name][2]}", content)
        for name, content in files.items()
    }


def _foreign_and_icons() -> dict[str, bytes]:
    icons = {f"{name}.svg": (STATIC / "icons" / f"{name}.svg").read_bytes() for name in ("icon", "icon-badge")}
    return {**icons, "plotly.js": plotly_file().read_bytes(), **_screen()}


def _screen() -> dict[str, bytes]:
    """As installed; empty when a part is missing."""
    files = {name: XTERM / where for name, where in SCREEN.items()}
    if not all(file.is_file() for file in files.values()):
        return {}
    return {
        name: file.read_text(encoding="utf-8").partition("//# sourceMappingURL=")[0].encode()
        for name, file in files.items()
    }


def _words(ours: Mapping[str, Asset], page: str, language: str, *, bundled: bool) -> str:
    own = [f"{name}.js" for name in (page, *LATER.get(page, ()), *ANYWHERE)]
    read = own if bundled else [name for name in ours if name.endswith(".js")]
    script = "\n".join(ours[name].plain.decode() for name in read)
    return json.dumps(words_of(script, texts_in(language)), ensure_ascii=False, separators=(",", ":"))


def _packed(address: str, content: bytes) -> Asset:
    # No time in the gzip header: the same content must give the same bytes on every hub.
    packed = gzip.compress(content, 6 if len(content) > 500_000 else 9, mtime=0)
    return Asset(address, KINDS[Path(address).suffix], content, packed, f'"{_mark(content)}"')


def _mark(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def words_of(script: str, texts: Mapping[str, Forms]) -> dict[str, Forms]:
    """Named in `script`: "status.full", or with "status." or `status.${…}` all that begin so."""
    names = {name for _, name in LITERAL.findall(script)}
    groups = tuple({*BEGINNING.findall(script), *(name for name in names if name.endswith("."))})
    return {key: text for key, text in texts.items() if key in names or key.startswith(groups)}
