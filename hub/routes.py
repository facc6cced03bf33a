"""Wires what the subjects offer: handlers of messages, REST operations, pages."""

from __future__ import annotations

from functools import cache, partial
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dashboard import assets, guide
from dashboard.texts import texts_in
from hub.attention import api as attention_api
from hub.attention import page as attention_page
from hub.attention import rules_page
from hub.audit import api as events
from hub.audit import page as events_page
from hub.audit import service as audit_service
from hub.backups import api as backups
from hub.backups import backup_page, care_api, download_api, restore_api, restore_page, upload_api
from hub.backups import files_api as backup_files
from hub.backups import page as backups_page
from hub.commands import api as commands
from hub.commands import bulk, cards
from hub.commands import handlers as commands_handlers
from hub.commands import page as commands_page
from hub.enrolment import api as enrolment
from hub.enrolment import page as enrolment_page
from hub.links.session import MessageHandlers
from hub.machine_settings import api as config
from hub.machine_settings import page as settings_page
from hub.machine_settings import service as settings_handlers
from hub.machines import api as rvms
from hub.machines import find_page, history_page, key_page, sheet_api, tab
from hub.machines import handlers as machines_handlers
from hub.machines import page as machines_page
from hub.metrics import api as metrics
from hub.notifications import api as notifications
from hub.notifications import page as notifications_page
from hub.people import account_api, users_api, users_page
from hub.people import page as people_page
from hub.people.two_step import api as two_step
from hub.people.two_step import page as two_step_page
from hub.remote import api as remote
from hub.remote import files_api, pages_api
from hub.remote import page as remote_page
from hub.remote import service as remote_service
from hub.remote.recordings import api as recordings
from hub.remote.recordings import page as recording_page
from hub.saved_views import api as saved_views
from hub.saved_views import page as views_page
from hub.status import api as status
from hub.system import api as system
from hub.system import page as system_page
from hub.timezone import api as timezone
from hub.timezone import handlers as timezone_handlers
from hub.timezone import page as zone_card
from hub.web.api import openapi
from hub.web.api.endpoint import Endpoint, Nowhere
from hub.web.api.operation import Operation
from hub.web.auth.limits import OF_FLEET_PAGE, OF_PARTS
from hub.web.http.problems import not_found
from hub.web.shell.page import Part, Visit, WebPage, drawn, go, nothing_here
from protocol import messages as m

HANDLERS: Final = MessageHandlers(
    {
        m.Hello: machines_handlers.introduce, m.StatusReport: machines_handlers.status, m.Event: audit_service.event,
        m.CommandUpdate: commands_handlers.update, m.ConfigApplied: settings_handlers.config_applied,
        m.TimezoneReport: timezone_handlers.timezone, m.RemoteAccessReport: remote_service.remote_access,
        m.BoardReport: machines_handlers.board,
        m.TrustReport: machines_handlers.trust, m.KeyOffer: machines_handlers.key_offer,
    },
    after_hello=commands_handlers.check_waiting,
)  # fmt: skip

OPERATIONS: Final[tuple[Operation, ...]] = (
    *account_api.OPERATIONS, *two_step.OPERATIONS, *enrolment.OPERATIONS, *rvms.OPERATIONS, *sheet_api.OPERATIONS,
    *status.OPERATIONS, *metrics.OPERATIONS, *commands.OPERATIONS,
    *bulk.OPERATIONS, *config.OPERATIONS, *timezone.OPERATIONS, *recordings.OPERATIONS, *events.OPERATIONS,
    *backups.OPERATIONS, *backup_files.OPERATIONS, *upload_api.OPERATIONS, *download_api.OPERATIONS,
    *care_api.OPERATIONS, *restore_api.OPERATIONS,
    *remote.OPERATIONS, *pages_api.OPERATIONS, *files_api.OPERATIONS, *users_api.OPERATIONS,
    *saved_views.OPERATIONS, *attention_api.OPERATIONS, *notifications.OPERATIONS, *system.OPERATIONS,
)  # fmt: skip

EVERYTHING: Final = (*OPERATIONS, *openapi.operations(OPERATIONS))
"""Made once, because the last two keep what they have built."""


@cache  # Bound: one
def api_routes() -> tuple[BaseRoute, ...]:
    """Made once: no route knows its hub, and tests make two thousand hubs in one process."""
    # Starlette looks through them in order: what is asked the most stands in front.
    paths = dict.fromkeys(operation.path for operation in (*commands.OPERATIONS, *metrics.OPERATIONS, *EVERYTHING))
    found: list[BaseRoute] = [
        Route(f"/api{path}", Endpoint([o for o in EVERYTHING if o.path == path]), name=path) for path in paths
    ]
    return (*found, Route("/api", Nowhere()), Route("/api/{rest:path}", Nowhere()))


FIELDS = 500
"""Three fields a key, and free keys."""
GLOSSARY = (
    "nav.machines", "status.change", "attention", "add", "put_in_maintenance", "status.error", "status.full",
    "status.maintenance", "connection.late", "connection.never", "last_known", "retry_now", "tokens.revoke", "sign_in",
    "sign_out",
)  # fmt: skip
FRONT = machines_page.FrontPage(remote_page.front_card)
OF_MACHINE = {
    "front-state": Part("front_state.html", FRONT.part_state),
    "front-do": Part("front_do.html", FRONT.part_do),
    "why": Part("why.html", machines_page.part_why),
    "statuses": Part("status_list.html", machines_page.part_statuses),
    "machine-jobs": Part("machine_jobs.html", cards.part),
    "leases": Part("leases.html", remote_page.part_open_sessions),
    "lease-place": Part("lease_place.html", remote_page.part_place),
    "past": Part("lease_past.html", recording_page.part_past),
    "recent": Part("recent.html", events_page.part_recent),
    "zone": Part("zone_card.html", zone_card.part),
    "board": Part("board_card.html", tab.part_board),
    "row-menu": Part("row_menu.html", find_page.part_menu),
    "backup-plan": Part("backup_plan.html", backups_page.part_plan),
    "backup-history": Part("backup_history.html", backups_page.part_history),
    "restore-history": Part("restore_history.html", backups_page.part_restores),
}
OF_HISTORY = {"history": Part("history_whole.html", history_page.part_history)}
OF_RESTORE = {"restore-whole": Part("restore_whole.html", restore_page.part_restore)}
OF_BACKUP = {"backup-whole": Part("backup_whole.html", backup_page.part_backup)}
OF_FLEET = {
    "needs": Part("attention.html", attention_page.part_attention),
    "alarms": Part("alarms.html", attention_page.part_alarms),
    "fleet-tags": Part("fleet_tags.html", machines_page.part_tags),
}
OF_ALERTS = {"alerts": Part("alerts_list.html", attention_page.part_alerts)}
OF_RULES = {"rules": Part("alert_rules_list.html", rules_page.part_rules)}
OF_MAP = {"map": Part("map_drawn.html", find_page.part_map)}
OF_SETTINGS = {
    "applied": Part("applied.html", settings_page.part_applied),
    "settings": Part("settings_form.html", settings_page.part_form),
}
OF_FLEET_SETTINGS = {
    "applied": Part("fleet_applied.html", settings_page.part_fleet_applied),
    "settings": Part("settings_form.html", settings_page.part_fleet_form),
}
OF_JOBS = {
    "tally": Part("job_tally.html", commands_page.part_tally),
    "job-lists": Part("job_lists.html", commands_page.part_lists),
}
OF_USERS = {"user-list": Part("user_list.html", users_page.part_users)}
OF_ENROLMENT = {"enrol-lists": Part("enrol_lists.html", enrolment_page.part_lists)}
OF_MACHINE_ENROLMENT = {"enrol-steps": Part("enrol_steps.html", enrolment_page.part_steps)}
OF_SYSTEM = {"system": Part("system_facts.html", system_page.part_system)}
OF_JOB = {"whole-job": Part("job_whole.html", commands_page.part_job)}


@cache  # Bound: one
def page_routes() -> tuple[BaseRoute, ...]:
    """Put last: the final one takes every address. Made once, too."""
    overview = machines_page.Overview({"z": zone_card.card, "b": tab.board, "recent": events_page.recent})
    machine_settings = WebPage(settings_page.show_settings, settings_page.save_settings, most_fields=FIELDS)
    listed = [
        ("/views", WebPage(views_page.show_views, views_page.save_view, action="saved_view.keep")),
        ("/views/{view_id}/{what:str}", WebPage(views_page.to_views, views_page.change_view, action="saved_view.keep")),
        *_of_account(),
        ("/help", WebPage(show_help)),
        ("/help/guide", WebPage(show_guide)),
        ("/jobs", WebPage(commands_page.show_jobs)),
        ("/jobs/parts", WebPage(drawn(OF_JOBS))),
        ("/jobs/{command_id}", WebPage(commands_page.show_job)),
        ("/jobs/{command_id}/parts", WebPage(drawn(OF_JOB), cost=OF_PARTS)),
        ("/jobs/{command_id}/cancel", WebPage(commands_page.to_job, commands_page.cancel_job)),
        ("/bulk", WebPage(home, commands_page.ask_or_do, most_fields=commands_page.MOST_FIELDS)),
        ("/bulk/undo", WebPage(home, tab.undo_many)),
        ("/bulk/sheet", WebPage(home, tab.write_sheet, most_fields=commands_page.MOST_FIELDS)),
        ("/events", WebPage(events_page.show_events)),
        ("/events/lines", WebPage(events_page.show_lines)),
        ("/machines/add", WebPage(key_page.show_add, key_page.add)),
        ("/machines/palette", WebPage(find_page.show_palette)),
        ("/machines/import", WebPage(key_page.show_import, key_page.import_sheet)),
        ("/machines/parts", WebPage(drawn(OF_FLEET), cost=OF_PARTS)),
        ("/machines/{id}", WebPage(overview.show)),
        ("/m/{id}", WebPage(find_page.from_label(FRONT.show))),
        ("/labels", WebPage(find_page.show_labels)),
        ("/scan", WebPage(find_page.show_scan)),
        ("/machines/{id}/label", WebPage(find_page.show_label)),
        ("/machines/{id}/parts", WebPage(drawn(OF_MACHINE), cost=OF_PARTS)),
        ("/machines/{id}/events", WebPage(events_page.show_machine_events)),
        ("/machines/{id}/settings", machine_settings),
        ("/machines/{id}/settings/parts", WebPage(drawn(OF_SETTINGS))),
        ("/machines/{id}/key", WebPage(key_page.show_key, key_page.new_key)),
        ("/machines/{id}/key/rvm.json", WebPage(key_page.download_config)),
        ("/machines/{id}/remove", WebPage(key_page.ask_removal, key_page.remove)),
        ("/machines/{id}/rename", WebPage(settings_page.to_settings, settings_page.rename)),
        ("/machines/{id}/release", WebPage(to_machine, tab.release)),
        ("/machines/{id}/zone", WebPage(to_machine, zone_card.ask_zone)),
        ("/machines/{id}/do/{action}", WebPage(commands_page.show_action, commands_page.do_action)),
        ("/machines/{id}/status", WebPage(to_machine, overview.ask_status)),
        ("/machines/{id}/undo", WebPage(to_machine, machines_page.undo)),
        *_of_history(),
        *_of_the_fleet(),
        *_of_remote_sessions(),
        *_of_backups(),
        *_of_admin(),
    ]
    return (
        Route("/static/{name:path}", static_file),
        *(Route(path, page, name=path) for path, page in listed),
        Route("/{rest:path}", WebPage(nothing_here, nothing_here), name="nowhere"),
    )


def _of_account() -> list[tuple[str, WebPage]]:
    return [
        ("/login", WebPage(people_page.show_login, people_page.login, entrance=True)),
        ("/login/code", WebPage(two_step_page.show_code, two_step_page.check_code, entrance=True)),
        ("/signin", WebPage(people_page.show_link, people_page.use_link, entrance=True)),
        ("/logout", WebPage(people_page.to_login, people_page.logout, open_to_all=True, action="account.sign_out")),
        ("/preferences", WebPage(home, people_page.preferences, open_to_all=True)),
        ("/account", WebPage(people_page.show_account, people_page.save_account, action="account.edit")),
        ("/account/password", WebPage(home, people_page.set_password, action="account.edit")),
        (
            two_step_page.PLACE,
            WebPage(two_step_page.show_two_step, two_step_page.change_two_step, action="account.secure"),
        ),
        ("/account/sessions", WebPage(home, people_page.end_sessions, action="session.manage_own")),
    ]


def _of_the_fleet() -> list[tuple[str, WebPage]]:
    show_fleet = partial(
        machines_page.show_fleet, saved=views_page.above_the_table, needs=attention_page.part_attention
    )
    here, back, read = attention_page, attention_page.to_alerts, "trouble.read"
    return [
        ("/", WebPage(show_fleet, cost=OF_FLEET_PAGE)),
        ("/map", WebPage(find_page.show_map)),
        ("/map/parts", WebPage(drawn(OF_MAP), cost=OF_PARTS)),
        ("/alerts", WebPage(here.show_alerts, action=read)),
        ("/alerts/parts", WebPage(drawn(OF_ALERTS), action=read, cost=OF_PARTS)),
        ("/alerts/rules", WebPage(rules_page.show_rules, action=read, cost=OF_FLEET_PAGE)),
        ("/alerts/rules/parts", WebPage(drawn(OF_RULES), action=read, cost=OF_PARTS)),
        ("/alerts/{trouble_id}/{what:str}", WebPage(back, here.act, action="trouble.act")),
    ]


def _of_admin() -> list[tuple[str, WebPage]]:
    save = settings_page.save_fleet_settings
    fleet_settings = WebPage(settings_page.show_fleet_settings, save, action="fleet_config.read", most_fields=FIELDS)
    return [
        ("/admin", WebPage(system_page.show_admin)),
        ("/admin/system", WebPage(system_page.show_system, action="system.read")),
        ("/admin/system/parts", WebPage(drawn(OF_SYSTEM), action="system.read")),
        ("/admin/settings", fleet_settings),
        ("/admin/settings/parts", WebPage(drawn(OF_FLEET_SETTINGS), action="fleet_config.read")),
        *_of_users(),
        *_of_enrolment(),
        *_of_notifications(),
        (
            "/admin/tokens",
            WebPage(
                users_page.show_tokens,
                users_page.create_token,
                action="token.manage_own",
                most_fields=users_page.MOST_FIELDS,
            ),
        ),
        ("/admin/tokens/{token_id}/revoke", WebPage(home, users_page.revoke_token, action="token.manage_own")),
    ]


def _of_enrolment() -> list[tuple[str, WebPage]]:
    here, back = enrolment_page, enrolment_page.to_enrolment
    admit, refuse = "enrolment.admit", "enrolment.refuse"
    return [
        ("/admin/enrol", WebPage(here.show_enrolment, here.make_code, action=admit)),
        ("/admin/enrol/parts", WebPage(drawn(OF_ENROLMENT), action="enrolment.read")),
        ("/admin/enrol/decide", WebPage(back, here.decide, action=admit, most_fields=here.MOST_FIELDS)),
        ("/admin/enrol/machine", WebPage(back, here.add_machine, action=admit)),
        ("/admin/enrol/codes/{code_id}/revoke", WebPage(back, here.revoke_code, action=refuse)),
        ("/machines/{id}/enrol", WebPage(here.show_machine, here.make_machine_code, action=admit)),
        ("/machines/{id}/board", WebPage(here.to_machine_enrolment, here.decide_board, action=admit)),
        ("/machines/{id}/enrol/parts", WebPage(drawn(OF_MACHINE_ENROLMENT), cost=OF_PARTS, action=admit)),
    ]


def _of_notifications() -> list[tuple[str, WebPage]]:
    here, action = notifications_page, "notification.manage"
    all_of = WebPage(here.show_destinations, here.add_destination, action=action, most_fields=here.MOST_FIELDS)
    one = WebPage(here.show_destination, here.save_destination, action=action, most_fields=here.MOST_FIELDS)
    return [
        ("/admin/notifications", all_of),
        ("/admin/notifications/{destination_id}", one),
        (
            "/admin/notifications/{destination_id}/{what:str}",
            WebPage(here.to_destination, here.change_destination, action=action),
        ),
    ]


def _of_users() -> list[tuple[str, WebPage]]:
    here, back, action = users_page, users_page.to_user, "user.manage"
    person = WebPage(here.show_user, here.save_user, action=action, most_fields=here.MOST_FIELDS)
    return [
        ("/admin/users", WebPage(here.show_users, here.add_user, action=action)),
        ("/admin/users/parts", WebPage(drawn(OF_USERS), action=action)),
        ("/admin/users/{user_id}", person),
        ("/admin/users/{user_id}/link", WebPage(back, here.make_link, action=action)),
        ("/admin/users/{user_id}/unlock", WebPage(back, here.end_lock, action=action)),
        ("/admin/users/{user_id}/two-step", WebPage(back, two_step_page.reset, action=action)),
        ("/admin/users/{user_id}/sessions", WebPage(back, here.end_sessions, action=action)),
        ("/admin/users/{user_id}/{what:str}", WebPage(back, here.set_disabled, action=action)),
    ]


def _of_history() -> list[tuple[str, WebPage]]:
    return [
        ("/machines/{id}/charts.json", WebPage(machines_page.show_charts)),
        ("/machines/{id}/history", WebPage(history_page.show_history)),
        ("/machines/{id}/history/parts", WebPage(drawn(OF_HISTORY), cost=OF_PARTS)),
        ("/machines/{id}/history/charts.json", WebPage(history_page.show_figures)),
        ("/machines/{id}/history/file.csv", WebPage(history_page.show_file)),
    ]


def _of_backups() -> list[tuple[str, WebPage]]:
    return [
        ("/admin/backups", WebPage(backups_page.show_space, action="backup.read")),
        ("/bulk/backups", WebPage(home, backups_page.ask_or_start_many, most_fields=backups_page.MOST_FIELDS)),
        ("/machines/{id}/backups", WebPage(backups_page.show_backups)),
        ("/machines/{id}/backups/start", WebPage(backups_page.to_backups, backups_page.start)),
        ("/machines/{id}/backups/{backup_id}", WebPage(backup_page.show_backup)),
        ("/machines/{id}/backups/{backup_id}/parts", WebPage(drawn(OF_BACKUP), cost=OF_PARTS)),
        ("/machines/{id}/backups/{backup_id}/download", WebPage(backup_page.to_backup, backup_page.download)),
        ("/machines/{id}/backups/{backup_id}/restore", WebPage(restore_page.show_form, restore_page.preview)),
        ("/machines/{id}/restores/{restore_id}", WebPage(restore_page.show_restore)),
        ("/machines/{id}/restores/{restore_id}/parts", WebPage(drawn(OF_RESTORE), cost=OF_PARTS)),
        ("/machines/{id}/restores/{restore_id}/restore", WebPage(restore_page.to_restore, restore_page.restore)),
        ("/machines/{id}/backups/{backup_id}/verify", WebPage(backup_page.to_backup, backup_page.verify)),
        ("/machines/{id}/backups/{backup_id}/delete", WebPage(backup_page.to_backup, backup_page.delete)),
    ]


def _of_remote_sessions() -> list[tuple[str, WebPage]]:
    here, back = remote_page, remote_page.to_remote
    recorded, to_recorded = recording_page, recording_page.to_recording
    return [
        ("/machines/{id}/remote", WebPage(here.show_remote)),
        ("/machines/{id}/terminal", WebPage(remote_page.show_terminal, remote_page.open_terminal)),
        ("/machines/{id}/remote/start", WebPage(back, here.start)),
        ("/machines/{id}/remote/stop", WebPage(back, here.stop)),
        ("/machines/{id}/remote/extend", WebPage(back, here.extend)),
        ("/machines/{id}/remote/approve", WebPage(back, here.approve)),
        ("/machines/{id}/remote/decline", WebPage(back, here.decline)),
        ("/machines/{id}/remote/page", WebPage(back, here.open_page)),
        ("/machines/{id}/remote/download", WebPage(back, here.download)),
        ("/recordings/{recording_id}", WebPage(recorded.show_recording)),
        ("/recordings/{recording_id}/download", WebPage(to_recorded, recorded.download)),
        ("/recordings/{recording_id}/delete", WebPage(to_recorded, recorded.delete)),
    ]


async def static_file(request: Request) -> Response:
    made = await anyio.to_thread.run_sync(assets.load, request.app.state.hub.settings.base_path)
    asset = made.by_address.get(request.scope["path"])
    if asset is None:
        return Response("", 404)
    headers = {"Cache-Control": assets.FOREVER, "ETag": asset.etag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    packed = "gzip" in request.headers.get("accept-encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(asset.packed if packed else asset.plain, headers=headers, media_type=asset.media_type)


async def home(_visit: Visit) -> Response:
    return go("/")


async def to_machine(visit: Visit) -> Response:
    return go(f"/machines/{visit.machine().id}")


async def show_help(visit: Visit) -> Response:
    english, indonesian = texts_in("en"), texts_in("id")
    return visit.render("help.html", glossary=[(english(key), indonesian(key)) for key in GLOSSARY])


async def show_guide(visit: Visit) -> Response:
    blocks = await anyio.to_thread.run_sync(guide.guide, visit.reader.language)
    if blocks is None:
        raise not_found()
    return visit.render("guide.html", blocks=blocks)
