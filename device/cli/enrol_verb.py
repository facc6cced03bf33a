"""`enrol HUB`: asks the hub for a place with a one-time code, waits for a person's approval, writes the machine's
file. The code comes by standard input or a file, never as a word of the command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from certs.secret_file import SecretFileError, read_secret
from device.api_client import ApiClient, ApiError, HubUnreachableError
from device.cli.exit_codes import BAD_CONFIGURATION, CTRL_C, FAILED, OK, WAITING, WRONG_USAGE, Complain
from device.cli.settings_verb import settings_sentence
from device.enrolment.rules import PendingEnrolment
from device.enrolment.service import EnrolmentAnswer, HasKeyError, MachineEnrolment, NoCodeError, NotJsonError, new_key
from device.kernel import tls
from device.settings import AgentSettings, AgentSettingsError, load
from protocol import enrolment
from texts.catalogue import Texts

INSTALLED: Final = Path("/etc/myrvm/machine.json")
MAX_LINE: Final = 200


def add_enrol_arguments(action: argparse.ArgumentParser, texts: Texts) -> None:
    action.add_argument("hub", metavar="HUB", help=texts("cli_enrol_hub"))
    action.add_argument("--code", metavar="-", help=texts("cli_enrol_code"))
    action.add_argument("--code-file", type=Path, metavar="FILE", help=texts("cli_enrol_code_file"))
    action.add_argument("--wait", type=float, metavar="SECONDS", help=texts("cli_enrol_wait"))
    action.add_argument("--authority", metavar="SHA256", help=texts("cli_enrol_authority"))
    action.add_argument("--again", action="store_true", help=texts("cli_enrol_again"))
    action.add_argument("--allow-plain-http", action="store_true", help=texts("cli_enrol_plain"))


class _EndedError(Exception):
    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def enrol(
    environ: Mapping[str, str],
    texts: Texts,
    arguments: argparse.Namespace,
    complain: Complain,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    is_installed = os.geteuid() == 0 and INSTALLED.parent.is_dir()
    config = arguments.config or (INSTALLED if is_installed else Path("machine.json"))
    try:
        _check_hub(environ, texts, arguments, complain)
        return _Run(MachineEnrolment(config), environ, texts, arguments, complain, sleep).run()
    except _EndedError as ended:
        return ended.exit_code
    except KeyboardInterrupt:
        print(texts("enrol_resume"), file=sys.stderr)
        return CTRL_C
    except OSError as error:
        return complain("enrol_disk", FAILED, texts("enrol_disk", file=config, why=error.strerror or error))


def _settings(environ: Mapping[str, str], hub: str, key: str, *, plain_http: bool) -> AgentSettings:
    """As if the machine's file stood there already."""
    kept = {name: value for name, value in environ.items() if not name.upper().startswith(("RVM_", "API_TOKEN"))}
    named = {"RVM_MYRVM_BASE_URL": hub, "RVM_API_TOKEN": key, "RVM_ALLOW_PLAIN_HTTP": str(plain_http).lower()}
    return load(None, kept | named)


def _check_hub(environ: Mapping[str, str], texts: Texts, arguments: argparse.Namespace, complain: Complain) -> None:
    try:
        _settings(environ, arguments.hub, new_key(), plain_http=arguments.allow_plain_http)
    except AgentSettingsError as error:
        code = "enrol_plain_http" if error.code == "plain_http" else error.code
        sentence = settings_sentence(error, texts) if code == error.code else texts(code, **error.values)
        raise _EndedError(complain(code, BAD_CONFIGURATION, sentence)) from error


class _Run:
    def __init__(
        self, machine: MachineEnrolment, environ: Mapping[str, str], texts: Texts, arguments: argparse.Namespace,
        complain: Complain, sleep: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._machine = machine
        self._environ = environ
        self._texts = texts
        self._arguments = arguments
        self._complain = complain
        self._sleep = sleep
        self._hub = arguments.hub.rstrip("/")

    def run(self) -> int:
        pending = self._begin()
        settings = _settings(self._environ, self._hub, pending.key, plain_http=self._arguments.allow_plain_http)
        authority = self._authority(settings)
        client = ApiClient(
            settings.base_url, "", 0, timeout=settings.number("connection_timeout"),
            attempts=int(settings.number("retry_attempts")), retry_delay=settings.number("retry_delay"),
            tls_context=lambda: tls.context(authority),
        )  # fmt: skip
        try:
            standing = self._until_decided(client, pending)
        finally:
            client.close()
        if standing.state == "waiting":
            return self._result(standing, WAITING, "enrol_still_waits")
        if standing.state != "approved" or not standing.device_id:
            self._machine.drop()
            return self._result(standing, WRONG_USAGE, "enrol_rejected")
        plain = self._arguments.allow_plain_http and settings.base_url.startswith("http:")
        try:
            self._machine.finish(pending, standing.device_id, plain_http=plain, authority=authority)
        except NotJsonError as error:
            raise self._ended("enrol_not_json", BAD_CONFIGURATION) from error
        return self._result(standing, OK, "enrol_done_installed" if self._machine.config == INSTALLED else "enrol_done")

    def _authority(self, settings: AgentSettings) -> str:
        """Of the hub alone (PEM), before anything else is sent; "" for one that the system knows."""
        wanted = self._arguments.authority
        if wanted is None:
            return ""
        try:
            return tls.fetch_authority(settings.base_url, wanted, settings.number("connection_timeout"))
        except OSError as error:
            sentence = self._texts("enrol_authority", url=self._hub, why=error)
            raise _EndedError(self._complain("enrol_authority", FAILED, sentence)) from error

    def _begin(self) -> PendingEnrolment:
        code = self._code()
        try:
            return self._machine.begin(self._hub, code, again=self._arguments.again)
        except NoCodeError:
            code = self._asked_at_terminal()
        except HasKeyError as error:
            raise self._ended("enrol_has_key", WRONG_USAGE) from error
        except NotJsonError as error:
            raise self._ended("enrol_not_json", BAD_CONFIGURATION) from error
        return self._machine.begin(self._hub, code, again=self._arguments.again)

    def _code(self) -> str | None:
        given, file = self._arguments.code, self._arguments.code_file
        if given not in (None, "-"):
            raise self._ended("enrol_code_argv", WRONG_USAGE)
        if file is not None:
            try:
                return self._checked(read_secret(file))
            except SecretFileError as wrong:
                sentence = self._texts("enrol_code_file", file=file, why=wrong.code)
                raise _EndedError(self._complain("enrol_code_file", WRONG_USAGE, sentence)) from wrong
        return self._checked(sys.stdin.readline(MAX_LINE)) if given == "-" else None

    def _asked_at_terminal(self) -> str:
        if not sys.stdin.isatty():
            raise self._ended("enrol_no_code", WRONG_USAGE)
        print(self._texts("enrol_ask_code"), end=" ", file=sys.stderr, flush=True)
        return self._checked(sys.stdin.readline(MAX_LINE))

    def _checked(self, typed: str) -> str:
        code = enrolment.normal_code(typed)
        if code is None:
            raise self._ended("enrol_code_shape", WRONG_USAGE)
        return code

    def _until_decided(self, client: ApiClient, pending: PendingEnrolment) -> EnrolmentAnswer:
        """Once a first answer came, a hub that is away is waited for."""
        wait, began = self._arguments.wait, time.monotonic()
        standing = self._first(client, pending)
        if standing.state == "waiting":
            print(self._texts("enrol_waits", fingerprint=standing.fingerprint), file=sys.stderr, flush=True)
        while standing.state == "waiting" and (wait is None or time.monotonic() - began < wait):
            self._sleep(standing.retry_s)
            try:
                standing = self._machine.ask(client, pending)
            except HubUnreachableError:
                continue
            except ApiError as refused:
                if refused.status in (401, 403, 404):
                    raise self._refused(refused) from refused
        return standing

    def _first(self, client: ApiClient, pending: PendingEnrolment) -> EnrolmentAnswer:
        try:
            return self._machine.ask(client, pending)
        except ApiError as refused:
            raise self._refused(refused) from refused
        except HubUnreachableError as away:
            sentence = self._texts("enrol_unreachable", url=self._hub, why=away)
            raise _EndedError(self._complain("enrol_unreachable", FAILED, sentence)) from away

    def _refused(self, refused: ApiError) -> _EndedError:
        if refused.status == 403:
            return self._ended("enrol_code_refused", WRONG_USAGE)
        if refused.status in (404, 405):
            return self._ended("enrol_not_a_hub", FAILED)
        return _EndedError(self._complain("remote_refused", FAILED, self._texts("remote_refused", why=refused)))

    def _ended(self, code: str, exit_code: int) -> _EndedError:
        sentence = self._texts(code, file=self._machine.config, url=self._hub)
        return _EndedError(self._complain(code, exit_code, sentence))

    def _result(self, standing: EnrolmentAnswer, exit_code: int, code: str) -> int:
        if self._arguments.json:
            shown = {
                "state": standing.state, "fingerprint": standing.fingerprint,
                "device_id": standing.device_id or None, "name": standing.name or None,
                "config": str(self._machine.config),
            }  # fmt: skip
            print(json.dumps(shown))
        else:
            sentence = self._texts(
                code, name=standing.name, device_id=standing.device_id, file=self._machine.config,
                fingerprint=standing.fingerprint,
            )  # fmt: skip
            print(sentence, file=sys.stdout if exit_code == OK else sys.stderr)
        return exit_code
