"""Pages made to keep whoever rewrites them busy, or to grow as much as they can: one run of one piece each."""

from __future__ import annotations

from typing import Final

SIZE: Final = 500_000
_PIECES: Final[dict[str, bytes]] = {
    "roots": b" href=/",
    "roots in tags": b" href=/>",
    "short sets": b' srcset="/ ,">',
    "unended sets": b' srcset="/ ,',
    "styles": b" url(/",
    "imports": b'@import "/',
    "refreshes": b" content=1;url=/",
    "steps up": b" href=/../%2e%2e/>",
    "many steps": b"/..",
    "almost addresses": b" href= ",
    "almost own": b" href=http://localhost:500",
    "almost refreshes": b" content=111111111;url=",
    "almost styles": b"url(",
    "room": b" href=" + b" " * 4000,
    "room alone": b" ",
    "quotes": b" srcset=\"' srcset='\"",
    "tags": b" >",
    "heads": b"<head ",
    "digits": b"1",
    "letters": b"u",
}
_BEGIN: Final = {"unended sets": b'<img srcset="', "many steps": b"<a href=", "digits": b" content="}
WORST_PAGES: Final[dict[str, bytes]] = {
    "a set of roots": b'<head></head><img srcset="' + b"/," * (SIZE // 2) + b'">',
    **{
        name: b"<head></head>" + _BEGIN.get(name, b"") + piece * (SIZE // len(piece)) for name, piece in _PIECES.items()
    },
}
