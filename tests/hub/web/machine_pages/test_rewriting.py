"""A page written for `/`, moved below a path while it streams, in pieces of any size."""

from __future__ import annotations

import time

import pytest

from hub.web.machine_pages.rewriting import MAX_HELD, rewriter_for

PREFIX = "/remote/c"
SHIM = b"<script src=x></script>"
HTML = [
    (b'<a href="/x">', b'<a href="/remote/c/x">'),
    (b"<a href=/x>", b"<a href=/remote/c/x>"),
    (b"<IMG SRC = '/x.png'>", b"<IMG SRC = '/remote/c/x.png'>"),
    (b'<form method=post action="/go">', b'<form method=post action="/remote/c/go">'),
    (b'<base href="/">', b'<base href="/remote/c/">'),
    (b'<img srcset="/a.png 1x, /b.png 2x">', b'<img srcset="/remote/c/a.png 1x, /remote/c/b.png 2x">'),
    (b'<meta http-equiv=refresh content="0; url=/x">', b'<meta http-equiv=refresh content="0; url=/remote/c/x">'),
    (b'<i style="background:url(/x)">', b'<i style="background:url(/remote/c/x)">'),
    (b'<a href="http://127.0.0.1:5000/x">', b'<a href="/remote/c/x">'),
    (b'<a href="//localhost:5000/x">', b'<a href="/remote/c/x">'),
    (b'<a href="http://localhost:5001/x">', b'<a href="http://localhost:5001/x">'),
    (b'<a href="//cdn.example/x">', b'<a href="//cdn.example/x">'),
    (b'<a href="/\\evil">', b'<a href="/\\evil">'),
    (b'<a href="x/y">', b'<a href="x/y">'),
    (b"<p>either/or href = /no</p>", b"<p>either/or href = /remote/c/no</p>"),
]


def through(kind: str, page: bytes, size: int) -> bytes:
    rewriter = rewriter_for(kind, PREFIX, 5000, SHIM)
    assert rewriter is not None
    return b"".join(rewriter.feed(page[at : at + size]) for at in range(0, len(page), size)) + rewriter.end()


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(("tag", "moved"), HTML)
def test_every_way_to_name_the_root(tag: bytes, moved: bytes, size: int) -> None:
    page = b"<!doctype html><html><head></head><body>%b</body></html>"
    assert through("text/html; charset=utf-8", page % tag, size) == (
        b"<!doctype html><html><head>" + SHIM + b"</head><body>" + moved + b"</body></html>"
    )


@pytest.mark.parametrize(
    ("page", "begins"),
    [
        (b"<html><body>", b"<html>" + SHIM + b"<body>"), (b"hello", SHIM + b"hello"), (b"", SHIM),
        (b"<!DOCTYPE html><title>x", b"<!DOCTYPE html>" + SHIM + b"<title>x"),
        (b"<header>x</header>", SHIM + b"<header>x</header>"),
    ],
)  # fmt: skip
def test_our_script_comes_before_any_of_the_page(page: bytes, begins: bytes) -> None:
    assert through("text/html", page, 3) == begins


def test_style_sheets_and_modules() -> None:
    css = b'@import "/a.css"; a{background:url( "/b.png" )}b{c:url(//d/e)}'
    assert through("text/css", css, 5) == (
        b'@import "/remote/c/a.css"; a{background:url( "/remote/c/b.png" )}b{c:url(//d/e)}'
    )
    code = b'import "/a.js";\nimport x from"/b.js";\nconst c = await import("/c.js"); const d = "/d.js";\n'
    assert through("text/javascript", code, 9) == (
        b'import "/remote/c/a.js";\nimport x from"/remote/c/b.js";\n'
        b'const c = await import("/remote/c/c.js"); const d = "/d.js";\n'
    )


ROOM = b" " * MAX_HELD
SLOW = [
    ("text/html", b"<head></head> href=" + ROOM + b"x>"), ("text/html", b"<head></head> content=" + ROOM + b"x>"),
    ("text/css", b"url(" + ROOM + b"x}"), ("text/javascript", b"import" + ROOM + b"x;"),
    ("text/html", b"<head " * 1300 + b">" * MAX_HELD),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "page"), SLOW)
def test_a_page_of_room_alone_takes_no_more_time_than_any_other(kind: str, page: bytes) -> None:
    began = time.process_time()
    through(kind, page, len(page))
    assert time.process_time() - began < 1  # milliseconds; 2 to 15 s where two parts of a pattern share the room


def test_other_kinds_pass_untouched_and_nothing_is_held_for_ever() -> None:
    for kind in ("image/jpeg", "application/json", "text/html; charset=UTF-16", "", "multipart/x-mixed-replace"):
        assert rewriter_for(kind, PREFIX, 5000, SHIM) is None
    rewriter = rewriter_for("text/html", PREFIX, 5000, SHIM)
    assert rewriter is not None
    sent = sum(len(rewriter.feed(b"x" * 1000)) for _ in range(1000))
    assert sent >= 1_000_000 - MAX_HELD
