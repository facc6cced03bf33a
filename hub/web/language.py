"""For whom a page is made: language, theme and zone, by the user's own choice, a cookie, or what the browser says."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from dashboard.reader import THEMES, Reader
from hub.core.access import Principal
from hub.core.views import epoch_ms
from hub.settings import Settings
from hub.web.api_v2.words import language_of
from hub.web.context import HubContext
from texts.languages import LANGUAGES

LANGUAGE_COOKIE: Final = "rvm_language"
THEME_COOKIE: Final = "rvm_theme"
KEPT_S: Final = 365 * 86400


def reader_for(context: HubContext, request: Request, principal: Principal | None) -> Reader:
    """User, then cookie, then Accept-Language, then English; the theme likewise, `auto` at the end."""
    cookies = request.cookies
    chosen = (principal.language if principal else None) or cookies.get(LANGUAGE_COOKIE)
    theme = (principal.theme if principal else None) or cookies.get(THEME_COOKIE)
    return Reader(
        language=chosen if chosen in LANGUAGES else language_of(request, None),
        theme=theme if theme in THEMES else "auto",
        zone=context.settings.default_timezone,
        now=epoch_ms(context.clock()),
    )


def remember(response: Response, settings: Settings, *, language: str | None, theme: str | None) -> None:
    """Keep the choice in this browser, also for the pages before sign-in. No secret: readable, a year."""
    for name, value, known in ((LANGUAGE_COOKIE, language, LANGUAGES), (THEME_COOKIE, theme, THEMES)):
        if value in known:
            response.set_cookie(
                name, str(value), max_age=KEPT_S, path="/", secure=settings.cookie_secure, httponly=True, samesite="lax"
            )
