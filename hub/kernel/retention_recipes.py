"""How rows whose time is over are deleted: the statement for each kind of them. Knows neither clock nor setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from db import boots, commands, remote_sessions, samples, sessions, sign_ins, statuses, timezones, tokens
from db.statements import Write
from hub.model.changes import RowsExpired
from hub.model.machine import BOOTS_KEPT

OF_ALL: Final[Mapping[str, Callable[[datetime, int], Write]]] = {
    "sessions": sessions.delete_expired_sessions,
    "sign_in_links": sign_ins.delete_expired_links,
    "sign_in_failures": sign_ins.delete_failures_before,
    "timezone_sync_logs": timezones.delete_logs_before,
    "commands": commands.delete_commands_before,
    "remote_access_sessions": remote_sessions.delete_sessions_before,
    "tokens": tokens.delete_tokens_before,
}


def _of_removed(rvm_id: int, before: datetime, most: int) -> Write:
    del before
    return samples.delete_samples(rvm_id, most)


OF_MACHINE: Final[Mapping[str, Callable[[int, datetime, int], Write]]] = {
    "system_metrics": samples.delete_samples_before,
    "samples of removed machines": _of_removed,
    "status_history": statuses.delete_statuses_before,
    "machine_boots": partial(boots.delete_boots_before, kept=BOOTS_KEPT),
}
"""Tables so large that only a machine's part of them is looked at."""


def steps(change: RowsExpired) -> tuple[Write, ...]:
    if change.kind in OF_ALL:
        return (OF_ALL[change.kind](change.before, change.most),)
    return tuple(OF_MACHINE[change.kind](rvm_id, change.before, change.most) for rvm_id in change.rvm_ids)
