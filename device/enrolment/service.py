"""Enrols this machine, step by step: each step is on disk before the next begins, so that whoever is killed goes on
where it was and the hub sees one machine."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from device.api_client import ApiClient
from device.enrolment import rules
from device.enrolment.rules import PendingEnrolment
from device.kernel import state_file
from device.privileged.units import SERVICE_USER
from device.system import hardware
from protocol import enrolment
from protocol.version import PRODUCT_VERSION

AUTHORITY_FILE: Final = "hub_ca.pem"


class NoCodeError(Exception):
    """Nothing was begun here that could go on without one."""


class HasKeyError(Exception):
    """The machine's file has a key already."""


class NotJsonError(Exception):
    """The machine's file is there and is no JSON object."""


class EnrolmentAnswer(NamedTuple):
    """The hub's answer. `state`: waiting, approved, rejected."""

    state: str
    fingerprint: str
    device_id: str
    name: str
    retry_s: float


class MachineEnrolment:
    """Of the machine whose file is `config`: `begin`, `ask` until it is decided, `finish`."""

    def __init__(self, config: Path, root: Path = Path("/")) -> None:
        self.config = config
        self._root = root
        self._file = config.with_name(f"{config.name}.enrolment")

    def begin(self, hub: str, code: str | None, *, again: bool) -> PendingEnrolment:
        """Raises NoCodeError, HasKeyError, NotJsonError, OSError."""
        before = state_file.read_value(self._file, PendingEnrolment)
        if before is None and not again and self._written().get("api_token"):
            raise HasKeyError
        pending = rules.begun(before, hub, code, new_key())
        if pending is None:
            raise NoCodeError
        if pending != before:
            self.config.parent.mkdir(parents=True, exist_ok=True)
            state_file.write_value(self._file, pending)
        return pending

    def ask(self, client: ApiClient, pending: PendingEnrolment) -> EnrolmentAnswer:
        """Raises ApiError (403: the code lets nobody in), HubUnreachableError."""
        answer = client.enrol(rules.request(pending, facts(self._root)))
        return EnrolmentAnswer(
            str(answer.get("state")), enrolment.fingerprint(enrolment.key_hash(pending.key)),
            str(answer.get("device_id") or ""), str(answer.get("name") or ""), _seconds(answer.get("retry_s")),
        )  # fmt: skip

    def finish(self, pending: PendingEnrolment, device_id: str, *, plain_http: bool, authority: str = "") -> None:
        """The machine's file, last of all: `authority` (PEM) before it. Raises NotJsonError, OSError."""
        if authority:
            self._write(self.config.with_name(AUTHORITY_FILE), authority.encode())
        named = AUTHORITY_FILE if authority else ""
        values = rules.machine_file(self._written(), pending, device_id, plain_http=plain_http, authority=named)
        self._write(self.config, json.dumps(values, indent=2, ensure_ascii=False).encode() + b"\n")
        self.drop()

    def drop(self) -> None:
        """What was begun is over."""
        self._file.unlink(missing_ok=True)
        state_file.sync_folder(self._file.parent)

    def _written(self) -> dict[str, Any]:
        try:
            found = json.loads(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            raise NotJsonError from error
        if not isinstance(found, dict):
            raise NotJsonError
        return found

    def _write(self, path: Path, content: bytes) -> None:
        state_file.write_bytes(path, content)
        if os.geteuid() == 0:  # an installed agent's file is its own, whoever enrols
            with contextlib.suppress(KeyError):
                owner = pwd.getpwnam(SERVICE_USER)
                os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def new_key() -> str:
    public = "".join(secrets.choice(enrolment.KEY_PUBLIC_LETTERS) for _ in range(enrolment.KEY_PUBLIC))
    secret = "".join(secrets.choice(enrolment.KEY_SECRET_LETTERS) for _ in range(enrolment.KEY_SECRET))
    return f"{enrolment.KEY_MARK}_{public}_{secret}"


def facts(root: Path) -> Mapping[str, str | None]:
    """Of this board, so that a person knows it again."""
    known = hardware.describe(root)
    return {
        "hostname": socket.gethostname(),
        "agent_version": PRODUCT_VERSION,
        **{name: known.get(name) for name in ("model", "board_serial", "machine_id", "architecture", "os", "l4t")},
    }


def _seconds(value: object) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return min(max(float(str(value)), 1.0), 60.0) if is_number else enrolment.RETRY_S
