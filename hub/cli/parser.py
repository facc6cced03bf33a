"""The grammar of the command line. Standard library only, so that help needs no environment."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from hub.cli.flags import SERVE_FLAGS, data_flags, default_of, environment, output_flags, setting
from hub.cli.output import sentence
from texts.arguments import Parser
from texts.completion import SHELLS

ROLES = ("admin", "operator", "technician", "viewer")
TROUBLE_STATES = ("open", "taken", "snoozed", "over")
STATUSES = ("active", "inactive", "maintenance", "full", "error", "unknown")
BACKUP_TYPES = ("full", "incremental")
SNOOZES = ("1h", "4h", "tomorrow")
MOST_LISTED = 1000


def build() -> Parser:
    parser = Parser(
        prog="run_hub.py",
        beside=("install", "uninstall", "bundle"),
        description=sentence("help.hub"),
        epilog=f"{sentence('help.hub.examples')}\n\n{sentence('exit_codes')}",
    )
    parser.set_defaults(verb="serve", demo=False, open=False)
    parser.add_argument("--version", action="store_true", help=sentence("help.version"))
    demo = parser.add_argument_group(sentence("help.group.demo"))
    demo.add_argument("--demo", action="store_true", help=sentence("help.demo"))
    demo.add_argument("--machines", type=int, metavar="N", help=default_of("machines", "20"))
    serve = parser.add_argument_group(sentence("help.group.serve"))
    serve.add_argument("--open", action="store_true", help=environment("open"))
    for name in SERVE_FLAGS:
        setting(serve, name)
    output_flags(parser)
    data_flags(parser)
    verbs = parser.add_subparsers(title=sentence("help.verbs"), metavar="VERB")
    _machine(verbs)
    _user(verbs)
    _token(verbs)
    _trouble(verbs)
    _destination(verbs)
    _link(verbs)
    _backup(verbs)
    _doctor(verbs)
    _config(verbs)
    _completion(verbs)
    return parser


def read(argv: Sequence[str]) -> argparse.Namespace:
    """`verb` ("serve", "machine add", ...) and its flags. Help and wrong usage end the process."""
    parser = build()
    wanted = parser.parse_args(argv)
    if wanted.version:
        wanted.verb = "version"
    if wanted.machines is not None and not wanted.demo:
        parser.error(sentence("usage.needs", flag="--machines", other="--demo"))
    if getattr(wanted, "timeout", None) is not None and not wanted.wait:
        parser.error(sentence("usage.needs", flag="--timeout", other="--wait"))
    return wanted


def _machine(verbs: Any) -> None:
    nouns = _noun(verbs, "machine")
    add = _verb(nouns, "machine add", "machine.add", example="machine_add")
    add.add_argument("name", metavar="NAME", help=sentence("help.machine.add.name"))
    add.add_argument("--device-id", metavar="ID", help=sentence("help.machine.add.device_id"))
    add.add_argument("--location", metavar="TEXT", help=sentence("help.machine.add.location"))
    _verb(nouns, "machine list", "machine.list")
    show = _verb(nouns, "machine show", "machine.show", example="machine_show")
    show.add_argument("machine", metavar="MACHINE", help=sentence("help.machine.which"))
    code = _verb(nouns, "machine code", "machine.code", example="machine_code")
    code.add_argument("--uses", type=_uses, default=1, metavar="N", help=default_of("machine.code.uses", "1"))
    code.add_argument("--hours", type=_hours, default=1, metavar="N", help=default_of("machine.code.hours", "1"))
    code.add_argument("--at-once", action="store_true", help=sentence("help.machine.code.at_once"))
    code.add_argument("--name", metavar="TEXT", help=sentence("help.machine.code.name"))
    key = _verb(nouns, "machine key", "machine.key", example="machine_key")
    key.add_argument("machine", metavar="MACHINE", help=sentence("help.machine.which"))
    renew = _verb(nouns, "machine renew-key", "machine.renew_key", example="machine_renew_key")
    renew.add_argument("machine", metavar="MACHINE", help=sentence("help.machine.which"))
    remove = _verb(nouns, "machine remove", "machine.remove", example="machine_remove")
    remove.add_argument("machine", metavar="MACHINE", help=sentence("help.machine.which"))
    remove.add_argument("--confirm", metavar="NAME", help=sentence("help.machine.remove.confirm"))
    remove.add_argument("--dry-run", action="store_true", help=sentence("help.machine.remove.dry_run"))
    status = _verb(nouns, "machine set-status", "machine.set_status", example="machine_set_status")
    sync = _verb(nouns, "machine sync-timezone", "machine.sync_timezone", example="machine_sync_timezone")
    backup = _verb(nouns, "machine backup", "machine.backup", example="machine_backup")
    for asked in (status, sync, backup):
        asked.add_argument("machine", metavar="MACHINE", help=sentence("help.machine.which"))
        asked.add_argument("--wait", action="store_true", help=sentence("help.machine.wait"))
        asked.add_argument("--timeout", type=_seconds, metavar="SECONDS", help=sentence("help.machine.timeout"))
    status.add_argument("status", choices=STATUSES, help=sentence("help.machine.set_status.status"))
    status.add_argument("--reason", metavar="TEXT", help=sentence("help.machine.set_status.reason"))
    status.add_argument("--until", metavar="TIME", help=sentence("help.machine.set_status.until"))
    status.add_argument("--capacity", type=_percent, metavar="N", help=sentence("help.machine.set_status.capacity"))
    sync.add_argument("--timezone", metavar="ZONE", help=sentence("help.machine.sync_timezone.timezone"))
    backup.add_argument("--type", choices=BACKUP_TYPES, default="full", help=default_of("machine.backup.type", "full"))
    for what in ("images", "logs"):
        about = sentence("help.machine.backup.what", what=f"include_{what}")
        backup.add_argument(f"--{what}", choices=("yes", "no"), help=about)
    backup.add_argument("--reason", metavar="TEXT", help=sentence("help.machine.backup.reason"))
    backup.add_argument("--idempotency-key", type=_key, metavar="KEY", help=sentence("help.machine.backup.key"))


def _user(verbs: Any) -> None:
    nouns = _noun(verbs, "user")
    add = _verb(nouns, "user add", "user.add", example="user_add")
    add.add_argument("email", metavar="EMAIL", help=sentence("help.user.add.email"))
    add.add_argument("--name", metavar="TEXT", help=sentence("help.user.add.name"))
    add.add_argument("--role", choices=ROLES, default="viewer", help=default_of("user.add.role", "viewer"))
    add.add_argument("--password-file", metavar="FILE", help=sentence("help.user.add.password_file"))
    add.add_argument("--url", metavar="URL", help=sentence("help.link.url"))
    _own(add)
    _verb(nouns, "user list", "user.list")
    edit = _verb(nouns, "user edit", "user.edit", example="user_edit")
    edit.add_argument("email", metavar="EMAIL", help=sentence("help.user.who"))
    edit.add_argument("--name", metavar="TEXT", help=sentence("help.user.edit.name"))
    edit.add_argument("--role", choices=ROLES, help=sentence("help.user.edit.role"))
    _own(edit)
    edit.add_argument("--no-machines", action="store_true", help=sentence("help.user.edit.no_machines"))
    switch = edit.add_mutually_exclusive_group()
    switch.add_argument("--disable", action="store_true", help=sentence("help.user.edit.disable"))
    switch.add_argument("--enable", action="store_true", help=sentence("help.user.edit.enable"))
    for verb in ("invite", "unlock", "reset-2step", "sessions", "sign-out"):
        asked = _verb(nouns, f"user {verb}", f"user.{verb}")
        asked.add_argument("email", metavar="EMAIL", help=sentence("help.user.who"))
        if verb == "invite":
            asked.add_argument("--url", metavar="URL", help=sentence("help.link.url"))


def _own(verb: Parser) -> None:
    verb.add_argument("--language", choices=("en", "id", "auto"), help=sentence("help.user.language"))
    verb.add_argument("--timezone", metavar="ZONE", help=sentence("help.user.timezone"))
    verb.add_argument("--machine", metavar="MACHINE", action="append", default=[], help=sentence("help.user.machine"))
    verb.add_argument("--site", metavar="SITE", action="append", default=[], help=sentence("help.user.site"))
    verb.add_argument("--tag", metavar="TAG", action="append", default=[], help=sentence("help.user.tag"))


def _token(verbs: Any) -> None:
    nouns = _noun(verbs, "token")
    create = _verb(nouns, "token create", "token.create", example="token_create")
    create.add_argument("name", metavar="NAME", help=sentence("help.token.create.name"))
    create.add_argument("--user", metavar="EMAIL", required=True, help=sentence("help.token.create.user"))
    create.add_argument("--expires-days", type=_days, metavar="N", help=sentence("help.token.create.expires_days"))
    create.add_argument("--role", choices=ROLES, help=sentence("help.token.create.role"))
    for what in ("machine", "site", "tag"):
        about = sentence(f"help.token.create.{what}")
        create.add_argument(f"--{what}", metavar=what.upper(), action="append", default=[], help=about)
    listed = _verb(nouns, "token list", "token.list")
    listed.add_argument("--user", metavar="EMAIL", help=sentence("help.token.list.user"))
    revoke = _verb(nouns, "token revoke", "token.revoke")
    revoke.add_argument("token", metavar="TOKEN", help=sentence("help.token.revoke.token"))


def _trouble(verbs: Any) -> None:
    nouns = _noun(verbs, "trouble")
    listed = _verb(nouns, "trouble list", "trouble.list", example="trouble_list")
    listed.add_argument(
        "--state", choices=TROUBLE_STATES, default="open", help=default_of("trouble.list.state", "open")
    )
    listed.add_argument("--machine", metavar="MACHINE", help=sentence("help.machine.which"))
    listed.add_argument("--cause", metavar="CODE", help=sentence("help.trouble.list.cause"))
    listed.add_argument("--limit", type=_listed, default=100, metavar="N", help=default_of("trouble.list.limit", "100"))
    listed.add_argument("--before", metavar="ID", help=sentence("help.trouble.list.before"))
    show = _verb(nouns, "trouble show", "trouble.show")
    show.add_argument("trouble", metavar="ID", help=sentence("help.trouble.which"))
    for verb in ("take", "release", "snooze", "unsnooze", "note"):
        act = _verb(nouns, f"trouble {verb}", f"trouble.{verb}", "trouble_act" if verb in ("take", "snooze") else "")
        if verb in ("snooze", "note"):
            act.add_argument("troubles", metavar="ID", nargs=1, help=sentence("help.trouble.which"))
        else:
            act.add_argument("troubles", metavar="ID", nargs="+", help=sentence("help.trouble.which"))
        if verb == "snooze":
            act.add_argument("choice", choices=SNOOZES, help=sentence("help.trouble.snooze.choice"))
            act.add_argument("--note", metavar="TEXT", help=sentence("help.trouble.snooze.note"))
        if verb == "note":
            act.add_argument("text", metavar="TEXT", help=sentence("help.trouble.note.text"))
        if verb == "take":
            act.add_argument("--take-over", action="store_true", help=sentence("help.trouble.take.take_over"))
        if verb in ("take", "snooze", "note"):
            act.add_argument("--user", metavar="EMAIL", required=True, help=sentence("help.trouble.user"))


def _destination(verbs: Any) -> None:
    nouns = _noun(verbs, "destination")
    _verb(nouns, "destination list", "destination.list")
    add = _verb(nouns, "destination add", "destination.add", example="destination_add")
    add.add_argument("name", metavar="NAME", help=sentence("help.destination.name"))
    for verb in ("show", "edit", "test", "remove"):
        one = _verb(nouns, f"destination {verb}", f"destination.{verb}")
        one.add_argument("destination", metavar="DESTINATION", help=sentence("help.destination.which"))
        if verb == "edit":
            one.add_argument("--name", metavar="NAME", help=sentence("help.destination.name"))
            switch = one.add_mutually_exclusive_group()
            switch.add_argument("--pause", action="store_true", help=sentence("help.destination.edit.pause"))
            switch.add_argument("--resume", action="store_true", help=sentence("help.destination.edit.resume"))
            _what_is_sent(one)
        if verb == "remove":
            one.add_argument("--confirm", metavar="NAME", help=sentence("help.destination.remove.confirm"))
            one.add_argument("--dry-run", action="store_true", help=sentence("help.destination.remove.dry_run"))
    _what_is_sent(add)


def _what_is_sent(verb: Parser) -> None:
    is_new = verb.prog.endswith("add")
    verb.add_argument("--address-file", metavar="FILE", required=is_new, help=sentence("help.destination.address_file"))
    verb.add_argument("--language", choices=("en", "id"), help=sentence("help.destination.language"))
    verb.add_argument("--timezone", metavar="ZONE", help=sentence("help.destination.timezone"))
    for flag, kept in (("kind", "kinds"), ("cause", "causes"), ("tag", "tags"), ("site", "sites")):
        verb.add_argument(
            f"--{flag}", metavar=flag.upper(), dest=kept, action="append", help=sentence(f"help.destination.{flag}")
        )
    verb.add_argument("--everything", action="store_true", help=sentence("help.destination.everything"))
    verb.add_argument("--all-machines", action="store_true", help=sentence("help.destination.all_machines"))
    for flag, kept in (("after", "after_s"), ("remind", "remind"), ("per-hour", "per_hour")):
        about = sentence(f"help.destination.{flag}")
        verb.add_argument(f"--{flag}", metavar="N", dest=kept, type=_number, help=about)
    verb.add_argument("--over", choices=("yes", "no"), help=sentence("help.destination.over"))
    verb.add_argument("--quiet", metavar="FROM-TO", help=sentence("help.destination.quiet"))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError("0 …")
    return int(text)


def _link(verbs: Any) -> None:
    link = _verb(verbs, "link", "link", example="link")
    link.add_argument("email", metavar="EMAIL", nargs="?", help=sentence("help.link.email"))
    link.add_argument("--url", metavar="URL", help=sentence("help.link.url"))


def _backup(verbs: Any) -> None:
    backup = _verb(verbs, "backup", "backup", example="backup")
    backup.add_argument("file", metavar="FILE", help=sentence("help.backup.file"))
    restore = _verb(verbs, "restore", "restore", example="restore")
    restore.add_argument("file", metavar="FILE", help=sentence("help.restore.file"))
    restore.add_argument("--dry-run", action="store_true", help=sentence("help.restore.dry_run"))
    for verb in (backup, restore):
        setting(verb, "object_store", default=argparse.SUPPRESS)


def _doctor(verbs: Any) -> None:
    doctor = _verb(verbs, "doctor", "doctor", example="doctor")
    doctor.add_argument("--report", metavar="FILE", help=sentence("help.doctor.report"))
    for name in ("host", "port", "object_store", "tls_authority"):
        setting(doctor, name, default=argparse.SUPPRESS)


def _config(verbs: Any) -> None:
    show = _verb(_noun(verbs, "config"), "config show", "config.show", example="config_show")
    show.add_argument("--origin", action="store_true", help=sentence("help.config.show.origin"))
    serve = show.add_argument_group(sentence("help.group.serve"))
    for name in SERVE_FLAGS:
        setting(serve, name, default=argparse.SUPPRESS)


def _completion(verbs: Any) -> None:
    about = sentence("help.completion")
    completion = verbs.add_parser(
        "completion", help=about, description=about, epilog=sentence("help.examples.completion")
    )
    completion.set_defaults(verb="completion")
    what = completion.add_mutually_exclusive_group(required=True)
    what.add_argument("shell", nargs="?", choices=SHELLS, help=sentence("help.completion.shell"))
    what.add_argument("--names", action="store_true", help=sentence("help.completion.names"))
    data_flags(completion, default=argparse.SUPPRESS)


def _days(text: str) -> int:
    return _between(text, 3650)


def _listed(text: str) -> int:
    return _between(text, MOST_LISTED)


def _uses(text: str) -> int:
    return _between(text, 1000)


def _hours(text: str) -> int:
    return _between(text, 90 * 24)


def _seconds(text: str) -> int:
    return _between(text, 7 * 86400)


def _key(text: str) -> str:
    """As REST takes it."""
    if not re.fullmatch(r"[\x21-\x7e]{1,100}", text):
        raise argparse.ArgumentTypeError(sentence("key.bad"))
    return text


def _percent(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= 100):
        raise argparse.ArgumentTypeError("0 … 100")
    return int(text)


def _between(text: str, most: int) -> int:
    count = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= count <= most:
        raise argparse.ArgumentTypeError(f"1 … {most}")
    return count


def _noun(verbs: Any, name: str) -> Any:
    noun = verbs.add_parser(name, help=sentence(f"help.{name}"), description=sentence(f"help.{name}"))
    return noun.add_subparsers(title=sentence("help.verbs"), metavar="VERB", required=True, dest="_verb")


def _verb(verbs: Any, verb: str, key: str, example: str = "") -> Parser:
    parser: Parser = verbs.add_parser(
        verb.rsplit(maxsplit=1)[-1],
        help=sentence(f"help.{key}"),
        description=sentence(f"help.{key}"),
        epilog=sentence(f"help.examples.{example}") if example else None,
    )
    parser.set_defaults(verb=verb)
    output_flags(parser, argparse.SUPPRESS, has_quiet_hours=verb in ("destination add", "destination edit"))
    data_flags(parser, default=argparse.SUPPRESS)
    return parser
