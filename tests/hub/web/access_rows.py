"""The access matrix as a table: who gets what at every route. A new route needs a row here.

Each row says what each caller gets: `ok` (let through, whatever the outcome), `who` (401, or to the sign-in page),
`role` (403), `hidden` (404, the same as for what does not exist).
"""

from __future__ import annotations

from typing import Any

CALLERS = (
    "none", "expired", "revoked", "viewer", "operator", "own_technician", "other_technician", "own_device",
    "other_device", "admin",
)  # fmt: skip


def row(viewer: str, operator: str, own_tech: str, other_tech: str, own: str, other: str, admin: str) -> dict[str, str]:
    outcomes = ("who", "who", "who", viewer, operator, own_tech, other_tech, own, other, admin)
    return dict(zip(CALLERS, outcomes, strict=True))


ANYONE = dict.fromkeys(CALLERS, "ok")
NOBODY = dict.fromkeys(CALLERS, "hidden")
READ = row("ok", "ok", "ok", "hidden", "ok", "hidden", "ok")
WORK = row("role", "ok", "ok", "hidden", "ok", "hidden", "ok")
COMMAND = row("role", "ok", "ok", "hidden", "role", "hidden", "ok")
APPROVE = row("role", "ok", "role", "hidden", "role", "hidden", "ok")
ANSWER = row("role", "role", "role", "role", "ok", "hidden", "role")
SAY_OF_MACHINE = row("role", "role", "role", "hidden", "ok", "hidden", "role")
CANCEL = row("role", "ok", "ok", "hidden", "role", "role", "ok")
PEOPLE_AT_WORK = row("role", "ok", "ok", "ok", "role", "role", "ok")
UPLOAD = row("role", "role", "role", "hidden", "ok", "hidden", "ok")
UPLOAD_BACKUP = row("role", "ok", "role", "hidden", "ok", "hidden", "ok")
MANAGE = row("role", "role", "role", "hidden", "role", "hidden", "ok")
EVERYBODY = row("ok", "ok", "ok", "ok", "ok", "ok", "ok")
PEOPLE = row("ok", "ok", "ok", "ok", "role", "role", "ok")
OWN_TOKEN = row("hidden", "hidden", "hidden", "hidden", "role", "role", "hidden")
NO_VIEW = OWN_TOKEN
NO_TROUBLE = row("role", "hidden", "hidden", "hidden", "role", "role", "hidden")
ACTS = [f"POST /api/v2/troubles/{{trouble_id}}/{what}" for what in ("take", "release", "snooze", "unsnooze")]
WORK_ON_NO_PAGE = row("role", "hidden", "hidden", "hidden", "who", "who", "hidden")
WORK_ON_ANY_PAGE = row("role", "ok", "ok", "ok", "who", "who", "ok")
ADMIN = row("role", "role", "role", "role", "role", "role", "ok")
DEVICES = row("who", "who", "who", "who", "ok", "ok", "who") | {"none": "ok"}  # it may still say `auth`
MACHINES = row("who", "who", "who", "who", "ok", "ok", "who")  # the session is named in the first frame
PAGE = row("ok", "ok", "ok", "ok", "who", "who", "ok")
PAGE_OF_MACHINE = row("ok", "ok", "ok", "hidden", "who", "who", "ok")
WORK_ON_PAGE = row("role", "ok", "ok", "hidden", "who", "who", "ok")
MANAGE_ON_PAGE = row("role", "role", "role", "hidden", "who", "who", "ok")
UNSHOWN_KEY = row("role", "role", "role", "hidden", "who", "who", "hidden")
PAGE_OF_ADMIN = row("role", "role", "role", "role", "who", "who", "ok")
SYSTEM = row("role", "ok", "role", "role", "role", "role", "ok")
SYSTEM_ON_PAGE = row("role", "ok", "role", "role", "who", "who", "ok")
NO_PAGE = row("hidden", "hidden", "hidden", "hidden", "who", "who", "hidden")

APPROVE_ON_PAGE = row("role", "ok", "role", "hidden", "who", "who", "ok")
RECORDED_ON_PAGE = row("role", "ok", "ok", "hidden", "who", "who", "ok")
SESSION_FORMS = {
    "start": WORK_ON_PAGE, "stop": WORK_ON_PAGE, "extend": WORK_ON_PAGE, "approve": APPROVE_ON_PAGE,
    "decline": APPROVE_ON_PAGE, "page": WORK_ON_PAGE, "download": WORK_ON_PAGE,
}  # fmt: skip

ROWS: dict[str, dict[str, str]] = {
    "POST /api/v2/auth/login": dict.fromkeys(CALLERS, "who"),
    "POST /api/v2/auth/logout": PEOPLE,
    "GET /api/v2/auth/me": EVERYBODY,
    "PATCH /api/v2/auth/me": PEOPLE,
    "GET /api/v2/auth/two-step": PEOPLE,
    **{f"POST /api/v2/auth/two-step{what}": PEOPLE for what in ("", "/secret", "/recovery-codes", "/off")},
    "POST /api/v2/enrolment-codes": ADMIN,
    "GET /api/v2/enrolment-codes": ADMIN,
    "DELETE /api/v2/enrolment-codes/{code_id}": ADMIN | {"admin": "hidden"},
    "POST /api/v2/enrol": dict.fromkeys(CALLERS, "role"),  # by its code alone; without one nobody gets in
    "GET /api/v2/enrolments": ADMIN,
    "POST /api/v2/enrolments/approve": ADMIN,
    "POST /api/v2/enrolments/reject": ADMIN,
    "POST /api/v2/enrolments/{enrolment_id}/approve": ADMIN | {"admin": "hidden"},
    "POST /api/v2/enrolments/{enrolment_id}/reject": ADMIN | {"admin": "hidden"},
    "GET /api/v2/notification-destinations": ADMIN,
    "POST /api/v2/notification-destinations": ADMIN,
    "PATCH /api/v2/notification-destinations/{destination_id}": ADMIN | {"admin": "hidden"},
    "DELETE /api/v2/notification-destinations/{destination_id}": ADMIN | {"admin": "hidden"},
    "POST /api/v2/notification-destinations/{destination_id}/test": ADMIN | {"admin": "hidden"},
    "GET /api/v2/notifications": ADMIN,
    "GET /api/v2/views": PEOPLE,
    "POST /api/v2/views": PEOPLE,
    "PATCH /api/v2/views/{view_id}": NO_VIEW,
    "DELETE /api/v2/views/{view_id}": NO_VIEW,
    "GET /api/v2/troubles": PEOPLE,
    **dict.fromkeys(("GET /api/v2/alert-rules", "GET /api/v2/alert-rules/{cause}/preview"), PEOPLE),
    **dict.fromkeys((*ACTS, "PUT /api/v2/troubles/{trouble_id}/note"), NO_TROUBLE),
    "GET /api/v2/rvms": EVERYBODY,
    "POST /api/v2/rvms": ADMIN,
    "POST /api/v2/machine-sheet": ADMIN,
    "GET /api/v2/machine-sheet": EVERYBODY,
    "GET /api/v2/rvms/{id}": READ,
    "PATCH /api/v2/rvms/{id}": MANAGE,
    "DELETE /api/v2/rvms/{id}": MANAGE,
    "POST /api/v2/rvms/{id}/key": MANAGE,
    "GET /api/v2/rvms/{id}/key": MANAGE,
    "POST /api/v2/rvms/{id}/key/renewal": MANAGE,
    "DELETE /api/v2/rvms/{id}/key/renewal": MANAGE,
    "POST /api/v2/rvms/{id}/release": COMMAND,
    "POST /api/v2/rvms/{id}/board/accept": MANAGE,
    "POST /api/v2/rvms/{id}/board/refuse": MANAGE,
    "GET /api/v2/rvms/{id}/status": READ,
    "PATCH /api/v2/rvms/{id}/status": WORK,
    "GET /api/v2/rvms/{id}/status/history": READ,
    "POST /api/v2/rvms/{id}/metrics": UPLOAD,
    "GET /api/v2/rvms/{id}/metrics": READ,
    "GET /api/v2/rvms/{id}/commands": READ,
    "POST /api/v2/rvms/{id}/commands": COMMAND,
    "GET /api/v2/commands": EVERYBODY,
    "POST /api/v2/commands": PEOPLE_AT_WORK,
    "GET /api/v2/commands/{command_id}": READ,
    "POST /api/v2/commands/{command_id}/cancel": CANCEL,
    "POST /api/v2/commands/{command_id}/updates": ANSWER,
    "POST /api/v2/rvms/{id}/config/applied": SAY_OF_MACHINE,
    "GET /api/v2/rvms/{id}/config": READ,
    "PATCH /api/v2/rvms/{id}/config": MANAGE,
    "GET /api/v2/rvms/{id}/config/{key}": READ,
    "PATCH /api/v2/rvms/{id}/config/{key}": MANAGE,
    "GET /api/v2/config": PEOPLE,
    "PATCH /api/v2/config": ADMIN,
    "POST /api/v2/timezone/sync": WORK,
    "GET /api/v2/timezone/status/{device_id}": READ,
    "POST /api/v2/timezone/sync/manual": row("role", "ok", "ok", "hidden", "role", "role", "ok"),
    "GET /api/v2/rvms/{id}/remote-access/recordings": row("role", "ok", "ok", "hidden", "role", "hidden", "ok"),
    "GET /api/v2/recordings/{recording_id}": CANCEL,
    "POST /api/v2/recordings/{recording_id}/play": CANCEL,
    "POST /api/v2/recordings/{recording_id}/download": CANCEL,
    "DELETE /api/v2/recordings/{recording_id}": ADMIN,
    "GET /api/v2/events": EVERYBODY,
    "GET /api/v2/rvms/{id}/events": READ,
    "POST /api/v2/rvms/{id}/remote-access/start": WORK,
    "POST /api/v2/rvms/{id}/remote-access/stop": WORK,
    "POST /api/v2/rvms/{id}/remote-access/extend": WORK,
    "POST /api/v2/rvms/{id}/remote-access/approve": APPROVE,
    "POST /api/v2/rvms/{id}/remote-access/decline": APPROVE,
    "GET /api/v2/rvms/{id}/remote-access/status": READ,
    "GET /api/v2/rvms/{id}/remote-access/history": READ,
    "POST /api/v2/rvms/{id}/remote-access/pages": COMMAND,
    "POST /api/v2/rvms/{id}/remote-access/files/list": COMMAND,
    "POST /api/v2/rvms/{id}/remote-access/files/download": COMMAND,
    "POST /api/v2/rvms/{id}/remote-access/files/upload": COMMAND,
    "POST /api/v2/rvms/{id}/backup/start": WORK,
    "GET /api/v2/rvms/{id}/backup/status": READ,
    "POST /api/v2/rvms/{id}/backup/upload": UPLOAD_BACKUP,
    "GET /api/v2/rvms/{id}/backups": READ,
    "GET /api/v2/rvms/{id}/backups/{backup_id}": READ,
    "GET /api/v2/rvms/{id}/backups/{backup_id}/files": READ,
    "DELETE /api/v2/rvms/{id}/backups/{backup_id}": MANAGE,
    "POST /api/v2/rvms/{id}/backups/{backup_id}/upload": UPLOAD_BACKUP,
    "PUT /api/v2/rvms/{id}/backups/{backup_id}/parts/{number}": UPLOAD_BACKUP,
    "POST /api/v2/rvms/{id}/backups/{backup_id}/complete": UPLOAD_BACKUP,
    "GET /api/v2/rvms/{id}/backups/{backup_id}/archive": SAY_OF_MACHINE,
    "GET /api/v2/rvms/{id}/backups/{backup_id}/manifest": SAY_OF_MACHINE,
    "POST /api/v2/rvms/{id}/backups/{backup_id}/download": APPROVE,
    "POST /api/v2/rvms/{id}/backups/{backup_id}/verify": COMMAND,
    "GET /api/v2/backups/statistics": EVERYBODY,
    "GET /api/v2/system": SYSTEM,
    "GET /api/v2/backups/alerts": EVERYBODY,
    "POST /api/v2/rvms/{id}/backups/{backup_id}/restore": APPROVE,
    "GET /api/v2/rvms/{id}/restores": READ,
    "GET /api/v2/rvms/{id}/restores/{restore_id}": READ,
    # The link is the credential; without one there is nothing, whoever comes.
    "GET /api/v2/backup-downloads/{token}": NOBODY,
    "GET /api/v2/users": ADMIN,
    "POST /api/v2/users": ADMIN,
    "GET /api/v2/users/{user_id}": ADMIN,
    "PATCH /api/v2/users/{user_id}": ADMIN,
    "DELETE /api/v2/users/{user_id}": ADMIN,
    "POST /api/v2/users/{user_id}/invitation": ADMIN,
    **{f"DELETE /api/v2/users/{{user_id}}/{what}": ADMIN for what in ("lock", "two-step")},
    "GET /api/v2/users/{user_id}/sessions": ADMIN,
    "DELETE /api/v2/users/{user_id}/sessions": ADMIN,
    "DELETE /api/v2/users/{user_id}/sessions/{session_id}": ADMIN | {"admin": "hidden"},
    "GET /api/v2/auth/sessions": PEOPLE,
    "DELETE /api/v2/auth/sessions": PEOPLE,
    "DELETE /api/v2/auth/sessions/{session_id}": OWN_TOKEN,
    "GET /api/v2/tokens": PEOPLE,
    "POST /api/v2/tokens": PEOPLE,
    "DELETE /api/v2/tokens/{token_id}": OWN_TOKEN,
    "GET /api/v2/authority": ANYONE,
    "GET /api/health": ANYONE,
    "GET /api/ready": ANYONE,
    "GET /api/v2/openapi.json": ANYONE,
    "GET /api/v2/docs": ANYONE,
    "ANY /api": NOBODY,
    "ANY /api/{rest:path}": NOBODY,
    # By its capability alone; without one there is nothing, whoever comes.
    "GET /remote/{capability}/{rest:path}": NOBODY,
    "POST /remote/{capability}/{rest:path}": NOBODY,
    "PUT /remote/{capability}/{rest:path}": NOBODY,
    "PATCH /remote/{capability}/{rest:path}": NOBODY,
    "DELETE /remote/{capability}/{rest:path}": NOBODY,
    "OPTIONS /remote/{capability}/{rest:path}": NOBODY,
    "WS /remote/{capability}/{rest:path}": dict.fromkeys(CALLERS, "role"),  # no Origin: not from a machine's page
    "WS /ws/device": DEVICES,
    "WS /ws/tunnel": MACHINES,
    "WS /ws/dashboard": PEOPLE,
    "WS /ws/terminal": dict.fromkeys(CALLERS, "role"),  # pages alone: a session's cookie and our own Origin
    "GET /static/{name:path}": NOBODY,
    "GET /": PAGE,
    "GET /login": ANYONE,
    "POST /login": dict.fromkeys(CALLERS, "who"),
    "GET /login/code": PAGE,  # to sign in, or in
    "POST /login/code": ANYONE,
    "GET /signin": ANYONE,
    "POST /signin": dict.fromkeys(CALLERS, "who"),
    "GET /logout": PAGE,  # to the account, or to sign in; only a form signs out
    "POST /logout": ANYONE,
    "GET /preferences": ANYONE,
    "POST /preferences": ANYONE,
    **dict.fromkeys(("GET /alerts", "GET /alerts/parts", "GET /alerts/rules", "GET /alerts/rules/parts"), PAGE),
    "GET /alerts/{trouble_id}/{what:str}": WORK_ON_ANY_PAGE,
    "POST /alerts/{trouble_id}/{what:str}": WORK_ON_NO_PAGE,
    **dict.fromkeys(("GET /map", "GET /map/parts"), PAGE),
    "GET /views": PAGE,
    "POST /views": PAGE,
    "GET /views/{view_id}/{what:str}": PAGE,
    "POST /views/{view_id}/{what:str}": NO_PAGE,
    "GET /account": PAGE,
    "POST /account": PAGE,
    **{f"{how} /account/{what}": PAGE for how in ("GET", "POST") for what in ("2-step", "password", "sessions")},
    "GET /help": PAGE,
    "GET /help/guide": PAGE,
    "GET /machines/palette": PAGE,
    "GET /jobs": PAGE,
    "GET /jobs/parts": PAGE,
    "GET /jobs/{command_id}/parts": PAGE_OF_MACHINE,
    "GET /jobs/{command_id}": PAGE_OF_MACHINE,
    "GET /jobs/{command_id}/cancel": PAGE_OF_MACHINE,
    "POST /jobs/{command_id}/cancel": WORK_ON_PAGE,
    **dict.fromkeys(("GET /bulk", "GET /bulk/backups", "GET /bulk/sheet", "GET /bulk/undo", "POST /bulk/sheet"), PAGE),
    "POST /bulk/undo": row("role", "ok", "ok", "ok", "who", "who", "ok"),
    "POST /bulk/backups": row("role", "ok", "ok", "ok", "who", "who", "ok"),
    "POST /bulk": row("role", "ok", "ok", "ok", "who", "who", "ok"),
    "GET /events": PAGE,
    "GET /events/lines": PAGE,
    "GET /machines/{id}/events": PAGE_OF_MACHINE,
    "GET /machines/{id}/history": PAGE_OF_MACHINE,
    "GET /machines/{id}/history/parts": PAGE_OF_MACHINE,
    "GET /machines/{id}/history/charts.json": PAGE_OF_MACHINE,
    "GET /machines/{id}/history/file.csv": PAGE_OF_MACHINE,
    "GET /machines/add": PAGE,
    "GET /machines/parts": PAGE,
    "POST /machines/add": PAGE_OF_ADMIN,
    "GET /machines/import": PAGE,
    "POST /machines/import": PAGE_OF_ADMIN,
    "GET /machines/{id}": PAGE_OF_MACHINE,
    "GET /machines/{id}/charts.json": PAGE_OF_MACHINE,
    "GET /machines/{id}/parts": PAGE_OF_MACHINE,
    "GET /machines/{id}/do/{action}": PAGE_OF_MACHINE,
    "POST /machines/{id}/do/{action}": WORK_ON_PAGE,
    "GET /machines/{id}/settings": PAGE_OF_MACHINE,
    "GET /machines/{id}/settings/parts": PAGE_OF_MACHINE,
    "POST /machines/{id}/settings": MANAGE_ON_PAGE,
    "GET /machines/{id}/rename": PAGE_OF_MACHINE,
    "POST /machines/{id}/rename": MANAGE_ON_PAGE,
    "GET /machines/{id}/key": MANAGE_ON_PAGE,
    "POST /machines/{id}/key": MANAGE_ON_PAGE,
    "GET /machines/{id}/key/rvm.json": UNSHOWN_KEY,
    "GET /machines/{id}/remove": MANAGE_ON_PAGE,
    "POST /machines/{id}/remove": MANAGE_ON_PAGE,
    "GET /machines/{id}/release": PAGE_OF_MACHINE,
    "POST /machines/{id}/release": WORK_ON_PAGE,
    "GET /machines/{id}/zone": PAGE_OF_MACHINE,
    "POST /machines/{id}/zone": WORK_ON_PAGE,
    "GET /machines/{id}/remote": PAGE_OF_MACHINE,
    "GET /machines/{id}/terminal": PAGE_OF_MACHINE,
    "POST /machines/{id}/terminal": WORK_ON_PAGE,
    "GET /m/{id}": PAGE_OF_MACHINE,
    "GET /machines/{id}/label": PAGE_OF_MACHINE,
    "GET /labels": PAGE,
    "GET /scan": PAGE,
    **{f"GET /machines/{{id}}/remote/{request}": PAGE_OF_MACHINE for request in SESSION_FORMS},
    **{f"POST /machines/{{id}}/remote/{request}": outcome for request, outcome in SESSION_FORMS.items()},
    "GET /recordings/{recording_id}": RECORDED_ON_PAGE,
    "GET /recordings/{recording_id}/download": RECORDED_ON_PAGE,
    "POST /recordings/{recording_id}/download": RECORDED_ON_PAGE,
    "GET /recordings/{recording_id}/delete": RECORDED_ON_PAGE,
    "POST /recordings/{recording_id}/delete": MANAGE_ON_PAGE,
    "GET /machines/{id}/backups": PAGE_OF_MACHINE,
    "GET /machines/{id}/backups/start": PAGE_OF_MACHINE,
    "POST /machines/{id}/backups/start": WORK_ON_PAGE,
    "GET /machines/{id}/backups/{backup_id}": PAGE_OF_MACHINE,
    "GET /machines/{id}/backups/{backup_id}/parts": PAGE_OF_MACHINE,
    "GET /machines/{id}/backups/{backup_id}/download": PAGE_OF_MACHINE,
    "POST /machines/{id}/backups/{backup_id}/download": APPROVE_ON_PAGE,
    "GET /machines/{id}/backups/{backup_id}/restore": PAGE_OF_MACHINE,
    "POST /machines/{id}/backups/{backup_id}/restore": APPROVE_ON_PAGE,
    "GET /machines/{id}/restores/{restore_id}": PAGE_OF_MACHINE,
    "GET /machines/{id}/restores/{restore_id}/parts": PAGE_OF_MACHINE,
    "GET /machines/{id}/restores/{restore_id}/restore": PAGE_OF_MACHINE,
    "POST /machines/{id}/restores/{restore_id}/restore": APPROVE_ON_PAGE,
    "GET /machines/{id}/backups/{backup_id}/verify": PAGE_OF_MACHINE,
    "POST /machines/{id}/backups/{backup_id}/verify": WORK_ON_PAGE,
    "GET /machines/{id}/backups/{backup_id}/delete": PAGE_OF_MACHINE,
    "POST /machines/{id}/backups/{backup_id}/delete": MANAGE_ON_PAGE,
    "GET /machines/{id}/status": PAGE_OF_MACHINE,
    "POST /machines/{id}/status": WORK_ON_PAGE,
    "GET /machines/{id}/undo": PAGE_OF_MACHINE,
    "POST /machines/{id}/undo": WORK_ON_PAGE,
    "GET /admin": PAGE,
    "GET /admin/system": SYSTEM_ON_PAGE,
    "GET /admin/system/parts": SYSTEM_ON_PAGE,
    "GET /admin/settings": PAGE,
    "GET /admin/backups": PAGE,
    "GET /admin/settings/parts": PAGE,
    "POST /admin/settings": PAGE_OF_ADMIN,
    "GET /admin/users": PAGE_OF_ADMIN,
    "POST /admin/users": PAGE_OF_ADMIN,
    "GET /admin/users/parts": PAGE_OF_ADMIN,
    "GET /admin/users/{user_id}": PAGE_OF_ADMIN,
    "POST /admin/users/{user_id}": PAGE_OF_ADMIN,
    **{
        f"{how} /admin/users/{{user_id}}/{what}": PAGE_OF_ADMIN
        for how in ("GET", "POST")
        for what in ("unlock", "sessions", "two-step")
    },
    "GET /admin/users/{user_id}/link": PAGE_OF_ADMIN,
    "POST /admin/users/{user_id}/link": PAGE_OF_ADMIN,
    "GET /admin/users/{user_id}/{what:str}": PAGE_OF_ADMIN,
    "POST /admin/users/{user_id}/{what:str}": PAGE_OF_ADMIN,
    **{
        f"{how} /admin/enrol{what}": PAGE_OF_ADMIN
        for how, what in (
            ("GET", ""),
            ("POST", ""),
            ("GET", "/parts"),
            ("GET", "/decide"),
            ("POST", "/decide"),
            ("GET", "/machine"),
            ("POST", "/machine"),
            ("GET", "/codes/{code_id}/revoke"),
        )
    },
    "POST /admin/enrol/codes/{code_id}/revoke": PAGE_OF_ADMIN | {"admin": "hidden"},
    "GET /machines/{id}/enrol": PAGE_OF_ADMIN,
    "POST /machines/{id}/enrol": PAGE_OF_ADMIN,
    "GET /machines/{id}/enrol/parts": PAGE_OF_ADMIN,
    "GET /machines/{id}/board": PAGE_OF_ADMIN,
    "POST /machines/{id}/board": PAGE_OF_ADMIN,
    "GET /admin/notifications": PAGE_OF_ADMIN,
    "POST /admin/notifications": PAGE_OF_ADMIN,
    **{
        f"{how} /admin/notifications/{{destination_id}}{what}": PAGE_OF_ADMIN | {"admin": "hidden"}
        for how in ("GET", "POST")
        for what in ("", "/{what:str}")
    },
    "GET /admin/tokens": PAGE,
    "POST /admin/tokens": PAGE,
    "GET /admin/tokens/{token_id}/revoke": PAGE,
    "POST /admin/tokens/{token_id}/revoke": NO_PAGE,
    "GET /{rest:path}": NO_PAGE,
    "POST /{rest:path}": NO_PAGE,
}

JSON: dict[str, Any] = {
    "POST /api/v2/troubles/{trouble_id}/snooze": {"choice": "1h"},
    "PUT /api/v2/troubles/{trouble_id}/note": {"note": "Replaced the fan"},
    "POST /api/v2/enrolment-codes": {"uses": 2},
    "POST /api/v2/enrol": {"code": "RVM-2222-2222-2222", "key_prefix": "rvmk_AAAAAAAA", "key_hash": "0" * 64},
    "POST /api/v2/enrolments/approve": {"ids": [1]},
    "POST /api/v2/enrolments/reject": {"ids": [1]},
    "POST /api/v2/rvms": {"name": "new"},
    "POST /api/v2/machine-sheet": {"csv": "name\nsheet\n"},
    "PATCH /api/v2/rvms/{id}/status": {"status": "full"},
    "POST /api/v2/rvms/{id}/metrics": {"timestamp": "2026-01-01T00:00:00Z"},
    "POST /api/v2/rvms/{id}/commands": {"name": "ping"},
    "PATCH /api/v2/rvms/{id}/config": {"cpu_threshold": 80},
    "PATCH /api/v2/rvms/{id}/config/{key}": {"value": 80},
    "PATCH /api/v2/config": {"cpu_threshold": 85},
    "POST /api/v2/commands/{command_id}/updates": {"state": "accepted"},
    "POST /api/v2/rvms/{id}/config/applied": {"version": 0},
    "POST /api/v2/timezone/sync": {"device_id": "{id}", "timezone": "Asia/Jakarta"},
    "POST /api/v2/timezone/sync/manual": {"device_id": "{id}"},
    "POST /api/v2/commands": {"name": "ping", "rvms": [1]},
    "POST /api/v2/rvms/{id}/remote-access/pages": {"port": 5000},
    "POST /api/v2/rvms/{id}/remote-access/files/list": {"path": "/x"},
    "POST /api/v2/rvms/{id}/remote-access/files/download": {"path": "/x"},
    "POST /api/v2/users": {"email": "new@b.c", "name": "N", "role": "viewer"},
    "POST /api/v2/tokens": {"name": "t"},
    **{f"POST /api/v2/auth/two-step{what}": {"code": "123456"} for what in ("", "/recovery-codes", "/off")},
}
FORMS: dict[str, dict[str, str]] = {
    "POST /machines/{id}/zone": {"do": "sync"},
    "POST /bulk": {"do": "sync_timezone", "rvm": "1"},
    "POST /bulk/backups": {"rvm": "1"},
    "POST /machines/{id}/backups/start": {"backup_type": "full"},
    "POST /machines/add": {"name": "by form"},
    "POST /machines/import": {"csv": "name\nby sheet\n"},
    "POST /admin/enrol": {"uses": "2", "expires_in": "3600"},
    "POST /admin/enrol/machine": {"name": "by code"},
    "POST /machines/{id}/status": {"status": "full"},
    "POST /admin/users": {"email": "form@b.c", "name": "F", "role": "viewer"},
    "POST /admin/tokens": {"name": "f"},
    "POST /account/2-step": {"do": "begin"},
}
