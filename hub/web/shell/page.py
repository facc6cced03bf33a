"""What every page has in common: reader and user, frame, forms that prove their origin, parts, errors as pages.

A page is a function of a Visit that answers a Response; `WebPage` makes it an endpoint. A part is a template of its
page, drawn again when stale."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from dashboard import assets, pages
from dashboard.reader import THEMES, Reader
from db.errors import StoreError
from hub.kernel.context import HubContext
from hub.model import access
from hub.model.access import Principal
from hub.model.machine import Machine
from hub.model.views import epoch_ms
from hub.settings import Settings
from hub.web.api import endpoint
from hub.web.api.operation import Call
from hub.web.auth import identify, origin
from hub.web.auth.limits import OF_PAGE, ReadBudget
from hub.web.auth.origin import is_under_foreign_name, same_origin
from hub.web.auth.passwords import TooBusy
from hub.web.http import request_body
from hub.web.http.layers import outward
from hub.web.http.problems import Problem, Text, for_person, language_of, not_found, translator
from hub.web.shell.fleet_digest import OwnSession, attention, in_slices, own_session
from texts.languages import LANGUAGES

logger = logging.getLogger("myrvm.pages")

MAX_FORM_FIELDS: Final = 100
NAV: Final[tuple[tuple[str, str], ...]] = (
    ("machines", "/"), ("alerts", "/alerts"), ("jobs", "/jobs"), ("events", "/events"), ("admin", "/admin"),
    ("help", "/help"),
)  # fmt: skip
ADMIN: Final[tuple[tuple[str, str, str], ...]] = (
    ("users", "/admin/users", "user.manage"), ("enrol", "/admin/enrol", "enrolment.admit"),
    ("tokens", "/admin/tokens", "token.manage_own"), ("fleet_settings", "/admin/settings", "fleet_config.read"),
    ("fleet_backups", "/admin/backups", "backup.read"),
    ("notifications", "/admin/notifications", "notification.manage"), ("system", "/admin/system", "system.read"),
)  # fmt: skip
"""Pages of *Admin* and the action that each needs: for its tabs, its own page and the palette."""


@dataclass(frozen=True)
class PageFrame:
    """Navigation, header, footer. `user` None: before sign-in."""

    user: Principal | None
    csrf: str | None
    version: str
    here: str
    alarms: int
    alarms_until: int | None
    open_jobs: int
    lease: OwnSession | None
    assets: assets.Assets
    nav: tuple[tuple[str, str], ...]
    admin: tuple[tuple[str, str], ...]


@dataclass
class Visit:
    """`form`: a POST's fields, each once; `fields`: every value."""

    context: HubContext
    request: Request
    reader: Reader
    principal: Principal | None
    form: dict[str, str]
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def user(self) -> Principal:
        if self.principal is None:
            raise Problem("not-authenticated", Text("credential_wanted"))
        return self.principal

    @property
    def now(self) -> datetime:
        return self.context.clock()

    def read_as_its_page(self) -> None:
        """What an open page fetches stays in its language and zone; of a page of somebody else it is not shown."""
        reader = self.reader.of_page(self.request.query_params.get("reader"))
        if reader is None:
            raise Problem("not-authenticated", Text("credential_wanted"))
        self.reader = reader

    def may(self, action: str, rvm_id: int | None = None) -> bool:
        return access.may(self.principal, action, rvm_id)

    def machine(self) -> Machine:
        return endpoint.machine_named(self.context, self.user, self.request.path_params["id"])

    def call(self, body: Any = None, *, machine: Machine | None = None, query: Any = None) -> Call:
        return Call(
            context=self.context, request=self.request, now=self.now,
            address=identify.address_of(self.context, self.request), language=self.reader.language,
            caller=self.principal, machine_or_none=machine, body=body, query=query,
        )  # fmt: skip

    def sentence(self, problem: Problem) -> str:
        """The first that is wrong. What somebody wrote, a path or a name, stays as it was written."""
        translate = translator(self.reader.language)
        why = next((why for whys in (problem.errors or {}).values() for why in whys), None)
        if why is None:
            return translate(problem.detail)
        words, given = translate(for_person(why)), tuple(v for v in why.params.values() if isinstance(v, str) and v)
        return words if words.startswith(given) else words[:1].upper() + words[1:]

    def render(self, template: str, status: int = 200, **values: Any) -> Rendering:
        return Rendering(self, template, status, values)

    async def frame(self) -> PageFrame:
        user = self.principal
        digest = None if user is None else await attention(self.context, user, self.reader.now)
        may_admin = self.may("backup.download")
        admin = tuple(each[:2] for each in ADMIN if may_admin and self.may(each[2]))
        return PageFrame(
            user=self.principal, csrf=identify.csrf_token(self.context.settings, self.request),
            version=self.context.version, here=here(self.request),
            alarms=0 if digest is None else digest.alarms,
            alarms_until=None if digest is None else digest.until, open_jobs=self._open_jobs(),
            lease=None if self.principal is None else own_session(self.context, self.principal, self.reader),
            assets=assets.load(self.context.settings.base_path), admin=admin,
            nav=tuple(pair for pair in NAV if pair[0] != "admin" or may_admin),
        )  # fmt: skip

    def _open_jobs(self) -> int:
        user = self.principal
        return 0 if user is None else sum(user.reaches(job.rvm_id) for job in self.context.fleet.open.values())


class Rendering(HTMLResponse):
    def __init__(self, visit: Visit, template: str, status: int, values: dict[str, Any]) -> None:
        super().__init__("", status)
        self._visit = visit
        self._template = template
        self._values = values

    async def write(self) -> None:
        visit = self._visit
        async with nullcontext() if visit.principal is None else visit.context[ReadBudget].turn(visit.principal.actor):
            frame = await visit.frame()
            written = pages.pieces(self._template, visit.reader, frame=frame, **self._values)
            page = "".join([piece async for piece in in_slices(written)])
            self.body = pages.finished(page, visit.reader, visit.context.settings.base_path).encode()
        self.headers["Content-Length"] = str(len(self.body))


Show = Callable[[Visit], Awaitable[Response]]


class WebPage:
    """`open_to_all`: also before sign-in. `entrance`: where a session begins, by no token."""

    def __init__(
        self,
        show: Show,
        post: Show | None = None,
        *,
        open_to_all: bool = False,
        entrance: bool = False,
        action: str = "feed.watch",
        most_fields: int = MAX_FORM_FIELDS,
        cost: float = OF_PAGE,
    ) -> None:
        self.handlers = {"GET": show, "HEAD": show} | ({"POST": post} if post is not None else {})
        self.open_to_all = open_to_all or entrance
        self.entrance = entrance
        self.action = action
        self.most_fields = most_fields
        self.cost = cost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self.answer(request)
        if request.method == "HEAD":
            response.body = b""
        outward(response, request.app.state.hub.settings.base_path)
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The request boundary: every exception becomes a page, the unforeseen also a log line."""
        context: HubContext = request.app.state.hub
        visit = Visit(context, request, reader_for(context, request, None), None, {})
        await _load(context.settings)
        try:
            visit = await self._visit(visit)
            response = await self.handlers[request.method](visit)
            if isinstance(response, Rendering):
                await response.write()
        except Exception as error:  # noqa: BLE001 - one of the three named boundaries (architecture.md, Concurrency)
            response = error_page(visit, error)
            if isinstance(response, Rendering):
                await response.write()
        return response

    async def _visit(self, visit: Visit) -> Visit:
        context, request = visit.context, visit.request
        if is_under_foreign_name(request, context.settings):
            raise Problem("forbidden", Text("misdirected", {"url": context.settings.public_address}))
        if request.method not in self.handlers:
            raise Problem("method-not-allowed", Text("method", {"allow": ", ".join(self.handlers)}))
        visit.principal = await identify.identify(context, request)
        if visit.principal is not None and not visit.principal.is_signed_in:
            visit.principal = None  # pages are for people; a token or a key has the API
        visit.reader = reader_for(context, request, visit.principal)
        if not self.open_to_all:
            endpoint.permit(visit.user, self.action)
        if visit.principal is not None and request.method != "POST":
            await context[ReadBudget].take(visit.principal.actor, self.cost)
        if request.method == "POST":
            visit.fields = await _form(request, self.most_fields)
            visit.form = dict(visit.fields)
            _prove_origin(visit, entrance=self.entrance)
            if visit.principal is not None and not self.entrance:
                endpoint.may_change_now(context, visit.principal, self.action)
        return visit


async def _load(settings: Settings) -> None:
    """The first page waits for files and templates, nothing else does."""
    if not assets.ready():
        await anyio.to_thread.run_sync(assets.load, settings.base_path)
    if not pages.ready():
        await anyio.to_thread.run_sync(pages.load)


async def _form(request: Request, most: int) -> tuple[tuple[str, str], ...]:
    raw = await request_body.read(request)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=most, errors="strict")
    except ValueError as broken:
        raise Problem("malformed", Text("not_json")) from broken
    return tuple((name, value.replace("\x00", "")) for name, value in pairs)


def _prove_origin(visit: Visit, *, entrance: bool) -> None:
    settings = visit.context.settings
    if visit.principal is not None and visit.principal.via == "session" and not entrance:
        good = identify.csrf_holds(settings, visit.request, visit.form.get("csrf_token"))
    else:
        good = same_origin(visit.request, settings)
    if not good:
        raise origin.csrf_refusal(visit.request, settings)


def here(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "") if request.method != "POST" else request.url.path


def local(address: str | None) -> str:
    text = address or "/"
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if plain else "/"


def base_url(visit: Visit) -> str:
    settings = visit.context.settings
    if settings.public_address:
        return settings.public_address
    scheme = "https" if settings.cookie_secure else "http"
    host = visit.request.headers.get("host", f"{settings.host}:{settings.port}")
    return f"{scheme}://{host}{settings.base_path}"


def go(address: str) -> RedirectResponse:
    return RedirectResponse(local(address), status_code=303)


def error_page(visit: Visit, error: Exception) -> Response:
    """To sign-in, or a plain sentence with the request's number."""
    if isinstance(error, Problem) and error.kind == "not-authenticated":
        place = local(origin.sent_by(visit.request, visit.context.settings) or here(visit.request))
        return go("/login" if place == "/" else f"/login?{urlencode({'next': place})}")
    number = secrets.token_hex(4)
    if isinstance(error, (StoreError, TooBusy)) or (isinstance(error, Problem) and error.kind == "unavailable"):
        return _error(visit, 503, "503", number)
    if not isinstance(error, Problem):
        place = visit.request.scope["path"].encode("unicode_escape").decode()
        logger.error("%s %s failed, request %s", visit.request.method, place, number, exc_info=error)
        return _error(visit, 500, "500", number)
    if error.kind in ("not-found", "method-not-allowed"):
        return _error(visit, error.status, "404", number)
    code = {"forbidden": "403", "too-many-requests": "429"}.get(error.kind, "refused")
    answer = _error(visit, error.status, code, number, visit.sentence(error))
    answer.headers.update(error.headers)
    return answer


async def refusal_page(call: Call, refused: Problem, missing: str = "404") -> Response:
    """Of an operation of the API, for a person; `missing`: the words where there is nothing."""
    await _load(call.context.settings)
    principal = await identify.identify(call.context, call.request)
    principal = principal if principal is not None and principal.is_signed_in else None
    visit = Visit(call.context, call.request, reader_for(call.context, call.request, principal), principal, {})
    if refused.kind == "not-found":
        page = _error(visit, refused.status, missing, secrets.token_hex(4))
    else:
        page = error_page(visit, refused)
    if isinstance(page, Rendering):
        await page.write()
    return page


def wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _error(visit: Visit, status: int, code: str, number: str, sentence: str = "") -> Response:
    t = visit.reader.t
    return visit.render(
        "error.html", status,
        heading=t(f"error.{code}"), sentence=sentence or t(f"error.{code}.say"), request_id=number,
        again=local(here(visit.request)) if code in ("429", "500", "503") and visit.request.method == "GET" else None,
        back=local(visit.form["back"]) if code == "refused" and visit.form.get("back") else None,
    )  # fmt: skip


async def nothing_here(_visit: Visit) -> Response:
    raise not_found()


def who(reader: Reader, actor: str, names: Mapping[str, str]) -> str:
    kind, _, number = actor.partition(":")
    if kind == "user":
        return names.get(number) or reader.t("who.user", id=number)
    return reader.text_of("who", kind)


KEPT_S: Final = 365 * 86400


def reader_for(context: HubContext, request: Request, principal: Principal | None) -> Reader:
    """User, then cookie, then Accept-Language, then English; the theme likewise, `auto` at the end.
    The zone: the user's own, else the hub's."""
    cookies = request.cookies
    chosen = (principal.language if principal else None) or cookies.get(identify.LANGUAGE_COOKIE)
    theme = (principal.theme if principal else None) or cookies.get(identify.THEME_COOKIE)
    return Reader(
        language=chosen if chosen in LANGUAGES else language_of(request, None),
        theme=theme if theme in THEMES else "auto", now=epoch_ms(context.clock()),
        zone=(principal.timezone if principal else None) or context.settings.default_timezone,
        own_zone=principal.timezone if principal else None, person=principal.id if principal else 0,
    )  # fmt: skip


def remember(response: Response, settings: Settings, *, language: str | None, theme: str | None) -> None:
    """In this browser for a year, also before sign-in."""
    for name, value, known in ((identify.LANGUAGE_COOKIE, language, LANGUAGES), (identify.THEME_COOKIE, theme, THEMES)):
        if value in known:
            response.set_cookie(
                name, str(value), max_age=KEPT_S, path=identify.cookie_path(settings), secure=settings.cookie_secure,
                httponly=True, samesite="lax",
            )  # fmt: skip


class Part(NamedTuple):
    template: str
    values: Callable[[Visit], Awaitable[Mapping[str, Any]]]


def drawn(parts: Mapping[str, Part]) -> Show:
    """Parts that `of` names, or all; 304 when the script has them."""

    async def show(visit: Visit) -> Response:
        asked = dict.fromkeys(visit.request.query_params.get("of", "").split() or parts)
        visit.read_as_its_page()
        pieces, frame = list[str](), SimpleNamespace(csrf="", user=visit.user)
        for name in asked:
            if name in parts:
                values = await parts[name].values(visit)
                written = pages.pieces(parts[name].template, visit.reader, frame=frame, **values)
                pieces += [piece async for piece in in_slices(written)]
        body = pages.finished("".join(pieces), visit.reader, visit.context.settings.base_path).encode()
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'}
        if visit.request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(body, headers=headers)

    return show
