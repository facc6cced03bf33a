"""The grammar and the sentences of `python3 -m certs`, in the reader's language. Standard library only."""

from __future__ import annotations

import argparse
import enum
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from certs.expiry import SOON
from certs.secret_file import SecretFileError, read_secret
from texts.arguments import Parser
from texts.catalogue import read as read_texts
from texts.languages import from_environment

FOLDER: Final = Path(__file__).parent / "locales"
DEFAULT_DIR: Final = Path("certs/private")
WITHIN_DAYS: Final = SOON.days


class ExitCode(enum.IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    NOT_FOUND = 5
    CONFLICT = 8
    INTERRUPTED = 130


class CertsError(Exception):
    """Ends a command. `code` is stable English; sentence and fix are `error.CODE` and `fix.CODE`."""

    def __init__(self, exit_code: ExitCode, code: str, **values: object) -> None:
        super().__init__(code)
        self.exit_code = exit_code
        self.code = code
        self.values = values


def sentence(key: str, /, **values: object) -> str:
    return read_texts(FOLDER, from_environment(os.environ))(key, **values)


def failure(error: CertsError, *, as_json: bool) -> int:
    message, hint = sentence(f"error.{error.code}", **error.values), sentence(f"fix.{error.code}", **error.values)
    if as_json:
        print(json.dumps({"error": {"code": error.code, "message": message, "hint": hint}}), file=sys.stderr)
    else:
        print(f"{sentence('error')}: {message}\n{sentence('fix')}: {hint}", file=sys.stderr)
    return int(error.exit_code)


def read(argv: Sequence[str]) -> argparse.Namespace:
    """`verb` and its flags. Help and wrong usage end the process."""
    parser = Parser(prog="python3 -m certs", description=sentence("help.certs"), epilog=sentence("help.examples"))
    verbs = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    authority = _verb(verbs, "authority")
    authority.add_argument("--name", metavar="TEXT", default="MyRVM", help=sentence("help.name"))
    _days(authority, 3650)
    step = authority.add_mutually_exclusive_group()
    for flag in ("next", "switch", "drop-old"):
        step.add_argument(f"--{flag}", action="store_true", help=sentence(f"help.{flag}"))
    hub = _verb(verbs, "hub")
    hub.add_argument("names", metavar="NAME", nargs="+", help=sentence("help.names"))
    _days(hub, 90)
    client = _verb(verbs, "client")
    client.add_argument("machines", metavar="MACHINE", nargs="+", help=sentence("help.machines"))
    _days(client, 365)
    renew = _verb(verbs, "renew")
    renew.add_argument("which", metavar="WHICH", nargs="*", help=sentence("help.which"))
    renew.add_argument("--within", metavar="DAYS", type=_count, default=WITHIN_DAYS, help=sentence("help.within"))
    revoke = _verb(verbs, "revoke")
    revoke.add_argument("which", metavar="WHICH", nargs="+", help=sentence("help.revoke_which"))
    show = _verb(verbs, "show")
    show.add_argument("file", metavar="FILE", nargs="?", type=Path, help=sentence("help.file"))
    return parser.parse_args(argv)


def _verb(verbs: Any, name: str) -> Parser:
    text = sentence(f"help.{name}")
    verb: Parser = verbs.add_parser(name, help=text, description=text)
    verb.add_argument("--dir", metavar="DIR", type=Path, default=DEFAULT_DIR, help=sentence("help.dir"))
    verb.add_argument("--json", action="store_true", help=sentence("help.json"))
    if name != "show":
        verb.add_argument("--passphrase-file", metavar="FILE", help=sentence("help.passphrase_file"))
        verb.add_argument("--passphrase", action="store_true", help=sentence("help.passphrase"))
    return verb


def _days(verb: Parser, default: int) -> None:
    verb.add_argument("--days", metavar="N", type=_count, default=default, help=sentence("help.days", count=default))


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= count <= 36500:
        raise argparse.ArgumentTypeError("1 … 36500")
    return count


def passphrase(wanted: argparse.Namespace, *, is_new: bool = False) -> bytes | None:
    """From a file, standard input (`-`) or the terminal; None: none was given. Never from the command line. Raises
    CertsError."""
    if wanted.passphrase_file == "-":  # noqa: S105 - the name of a file
        text = sys.stdin.readline().rstrip("\r\n")
    elif wanted.passphrase_file:
        try:
            text = read_secret(Path(wanted.passphrase_file))
        except SecretFileError as wrong:
            code = "passphrase_exposed" if wrong.code == "exposed" else "passphrase_unreadable"
            raise CertsError(ExitCode.CONFIGURATION, code, file=wrong.path) from wrong
    elif wanted.passphrase:
        text = _asked(is_new=is_new)
    else:
        return None
    if not text:
        raise CertsError(ExitCode.CONFIGURATION, "passphrase_empty")
    return text.encode()


def _asked(*, is_new: bool) -> str:
    import getpass

    if not sys.stdin.isatty():
        raise CertsError(ExitCode.USAGE, "no_terminal")
    text = getpass.getpass(sentence("ask"))
    if is_new and getpass.getpass(sentence("ask_again")) != text:
        raise CertsError(ExitCode.USAGE, "passphrases_differ")
    return text
