"""Why a machine's page cannot be shown, as a value; put into words and into a page of its own at the edge.

The page loads nothing, and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response

from hub.web.http.problems import Text, language_of, sayer

STATUS_OF: Final[Mapping[str, int]] = {
    "bad_request": 400,
    "entrance": 403,
    "not_allowed": 403,
    "not_declared": 403,
    "gone": 404,
    "service_worker": 403,
    "origin": 403,
    "not_http": 502,
    "not_running": 502,
    "elsewhere": 502,
    "encoded": 502,
    "internal": 502,
    "busy": 503,
    "no_tunnel": 503,
    "timeout": 504,
}
"""What each is as a status; any other code a machine may give counts as `internal`."""
_SEALED: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; sandbox"


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of ours
    """`code` is one of STATUS_OF."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code if code in STATUS_OF else "internal"
        self.status = STATUS_OF[self.code]


def respond(refusal: Refusal, connection: HTTPConnection) -> Response:
    """One sentence as a page, in the browser's language."""
    language = language_of(connection, None)
    say = sayer(language)
    title, sentence = say(Text("machine_page.title")), say(Text(f"machine_page.{refusal.code}"))
    html = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title>"
        '<body style="font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem">'
        f"<h1>{escape(title)}</h1><p>{escape(sentence)}</p></body></html>"
    )
    headers = {
        "Content-Security-Policy": _SEALED, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "unsafe-none",  # another one is a network error for a sandboxed page
    }  # fmt: skip
    return Response(html, refusal.status, headers, "text/html; charset=utf-8")
