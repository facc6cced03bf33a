"""Writes docs/configuration.md from the two tables of a machine's settings: the shared one and the machine's own.

python -m scripts.configuration_docs           writes the page
python -m scripts.configuration_docs --check   says (exit code 1) whether the page is out of date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from device.settings import table
from device.settings.table import Key
from protocol import configuration
from protocol.configuration import BLOCKS, SETTINGS

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

OPENING: Final = """\
# The configuration of a machine

Made from `protocol/configuration.py` and `device/settings/table.py` by `python -m scripts.configuration_docs`; a test
keeps it up to date.

## Where a value comes from
For each key, the first that has one:

1. the **environment** of the agent: `RVM_<KEY>`, or `<KEY>` alone (`RVM_METRICS_INTERVAL=60`). Lists take commas;
2. the **hub**: what somebody wrote there for this machine, else for the fleet;
3. the **file** given by `--config`, one JSON object;
4. the **default** below.

* The hub sends all that was written for a machine under one version, over the WebSocket; it is in force at once,
  without a restart, and kept in the state folder, so that a machine that starts offline goes on with it. A damaged copy
  is ignored.
* **The hub overrides the file key by key.** Whoever pins a zone changes the zone and nothing else; a key that is
  inherited again is the file's again, at once. Version 0 means that nobody has written anything at the hub yet.
* The machine answers each version on every link (`config_applied`). A value that is not in force there is named with
  its reason, as `code: sentence`; the other keys are in force all the same. A key that the environment sets to another
  value answers `environment` with the variable's name. Pages say a reason by its code, in the reader's language; what
  stays refused is one line of the record (`config.refused`), however many versions it lasts.
* It also tells what its file and environment set of the keys of the blocks below, so that the Settings tab, the warning
  limits and the expected interval at the hub are those in force; the tab says "From the machine's file". Of an address
  it leaves out what follows the question mark. It never tells a key of the first four tables, nor its own key.
* The keys of the first four tables are the owner's: the hub refuses to store them, and a machine refuses to take them
  (`static_key`), because a wrong value would cut the machine off, or let it do more than its owner allowed.
* The others are read by viewers and written by administrators, for one machine (Settings tab,
  `PATCH /api/v2/rvms/{id}/config`) or for the fleet (`PATCH /api/v2/config`); `null` inherits again. A machine's own
  key reads its own.
* An unknown key in the file is an error that names the nearest known one.

`run_device.py settings` shows what is in force on a machine and where each value comes from;
`run_device.py settings KEY --json` prints one value as JSON, for the machine's own software.
"""
SERVER: Final = "## Server\nIn the machine's file or environment only.\n"
AGENT: Final = "## The machine itself\nIn the machine's file or environment only.\n"
SOURCES: Final = "## What backups read\nIn the machine's file or environment only.\n"
REMOTE: Final = "## What remote access may reach\nIn the machine's file or environment only.\n"
BACKUP: Final = """\
Which folders are backed up stands in its own file (above). When: [operating.md](operating.md), "Backups".
"""
TITLES: Final = {
    "remote_access": "## Remote access\n",
    "timezone": "## Time zone\n",
    "backup": f"## Backup\n{BACKUP}",
    "monitoring": "## Monitoring\n",
}
MEANING: Final[dict[str, str]] = {
    "myrvm_base_url": "Address of the hub; https, or http on loopback or with `allow_plain_http`.",
    "api_token": "The machine's key, or `file:PATH` of a file nobody else reads (0600); also `RVM_API_TOKEN_FILE`.",
    "rvm_id": "The machine's number or `device_id` at the hub.",
    "hub_ca": "PEM file of the hub's private authority, old and new while it is exchanged; empty: the system's.",
    "client_cert": "PEM file of the machine's own certificate, where the hub asks for one.",
    "client_key": "PEM file of its private key (0600).",
    "connection_timeout": "For opening a connection and for each HTTP request, s.",
    "retry_attempts": "HTTP requests are tried this often.",
    "retry_delay": "First pause before trying again, s; it doubles, with jitter.",
    "state_dir": "Folder of spool, journal and caches; empty: beside the file.",
    "allow_plain_http": "Send the key unencrypted to another computer.",
    "spool_limit_mib": "Room for samples that the hub has not committed, MiB.",
    "disk_path": "The file system whose use is measured.",
    "jtop_enabled": "Read a Jetson through jetson-stats as well.",
    "sensor_root": "Folder in which /proc, /sys and /etc are found.",
    "system_control": "Whether the agent may ask the system to reboot, restart services and set the time zone.",
    "privileged_socket": "Where the privileged service listens, which does what the bus refuses (privileges.md); "
    "empty: nowhere.",
    "services": "Services that `restart_service` may restart, and no others.",
    "timezone_services": "Services to name as wanting a restart when they run in an old time zone.",
    "return_session_file": "File that exists while a customer is being served; empty: `return-session` in `state_dir`.",
    "return_session_max": "A return session file that was not touched for so long is forgotten, s.",
    "remote_access_ports": "Loopback ports of this machine that a session may name; no others are ever reached.",
    "remote_page_names": 'What people see instead of a port: `["5000 Door camera"]`, in the machine\'s file also '
    '`{"5000": "Door camera"}`; unnamed 5000 is the camera.',
    "remote_access_bind": "Where the control page listens; anything but loopback asks for `admin_ips` and a ticket.",
    "remote_services": 'Starts what listens on a port on demand only: `{"5000": {"start": [...], "stop": [...]}}`.',
    "terminal_command": "What a terminal runs; empty: the user's login shell.",
    "terminal_user": "Whom a terminal runs as, where the agent may choose; empty: `myrvm-session` or `myrvm-service`. "
    "Never root.",
    "session_socket": "Where systemd starts terminals and files as `myrvm-session` (privileges.md); empty: nowhere.",
    "remote_download_folders": "Folders from which a session may fetch what `terminal_user` may read; empty: none.",
    "remote_upload_folders": "Folders into which a session may put files where `terminal_user` may write; empty: none.",
    "remote_file_limit_mib": "Largest file that is taken or given, MiB.",
    "backup_sources": "Folders or files by name: `{NAME: {path, class: data, configuration, images or logs, exclude: "
    "[patterns]}}`; empty: what is found.",
    "backup_public_key": "Encrypts each backup to this age key and to the machine's own; the hub then cannot read it.",
    "backup_services": "Among `services`: stopped before a restore and started after it.",
    "remote_access_enabled": "Whether sessions may be opened.",
    "remote_access_port": "Loopback port of the machine's control page.",
    "admin_ips": "Networks from which a session may be opened.",
    "session_timeout": "Longest session, s.",
    "max_concurrent_sessions": "More are refused.",
    "default_timezone": "Taken by a machine that knows nothing better.",
    "remote_access_approval": "A second person has to agree before a session begins.",
    "new_board_approval": "Another board with the machine's key may not connect before an administrator accepts it. "
    "As written at the hub; the machine's own file has no say.",
    "pinned_timezone": "The zone of this site; beats every look-up. Empty: none.",
    "auto_sync_enabled": "Look the zone up at start and every `sync_interval`.",
    "sync_interval": "Between two automatic look-ups, s, give or take a tenth.",
    "manual_sync_enabled": "Whether the button works.",
    "timezone_api_url": "One to five addresses with commas, asked in this order; ip-api.com's JSON.",
    "backup_enabled": "Whether the hub asks for backups by schedule.",
    "backup_interval": "Between two scheduled backups, s; they begin within `backup_window` whatever it is.",
    "backup_retention": "Kept this long, days; longer while a kept one needs them. The last good one stays.",
    "include_images": "Put images into backups.",
    "include_logs": "Put logs into backups.",
    "compression_enabled": "Compress backups.",
    "backup_window": "When scheduled backups begin, in the time of the machine's site; over midnight: `22:00-02:00`; "
    "`00:00-24:00`: at any time.",
    "backup_compression": "How, where `compression_enabled`: gzip, which every `tar` reads, or zstd, which is faster.",
    "backup_chain": "Backups from a full one to the last incremental that needs it; the next is full. 1: always full.",
    "backup_rate": "What a backup may send, KiB/s; 0: no limit.",
    "backup_read_all": "Read every file for an incremental backup, also where size, time and inode say that nothing "
    "changed. It holds all of them then, as a full one does.",
    "monitoring_enabled": "Off: no sensor is read, whoever watches.",
    "metrics_interval": "Between two kept samples, s.",
    "upload_interval": "Between two batches while only HTTP gets through, s.",
    "temperature_threshold": "Warn from here on, °C.",
    "cpu_threshold": "Warn from here on, %.",
    "memory_threshold": "Warn from here on, %.",
}
KINDS: Final = {
    "switch": "true or false",
    "text": "text",
    "id": "number or text",
    "units": "list of service names",
    "ports": "list of ports",
    "address": "IP address",
    "argv": "list of words",
    "folders": "list of folders",
    "on_demand": "a command for each port",
    "page_names": "list of port and name",
    "backup_sources": "sources by name",
    "age_key": "age1... or empty",
    "networks": "list of networks",
    "zone": "IANA zone",
    "zone_or_none": "IANA zone or empty",
    "addresses": "http or https addresses",
    "window": "HH:MM-HH:MM",
    "compression": "`gzip` or `zstd`",
}
FREE: Final = (configuration.MAX_FREE_KEYS, configuration.MAX_TEXT, configuration.MAX_LIST)
CLOSING: Final = """\
## Further keys
Any other name (lower-case letters, digits, underscores; dashes are alike) is a setting of your own, such as
`confidence_threshold`: a text, a number, true or false, or a list of these. The kind of its first value stays. At most
%d keys, texts of %d characters, lists of %d. They are sent to the machine like the others. A new name that is nearly
one of the keys above (`metrics_intervl`) is refused as a slip: choose one that differs more.

## How a machine finds its time zone
`pinned_timezone` (or the zone a `sync_timezone` command named, until the configuration pins one) beats the look-up, and
the look-up beats `default_timezone`. A look-up that differs from the pin is told to the hub as a guess, and changes
nothing. **A look-up that fails never undoes a zone that was found before**: that zone stays (source `kept`), the
attempt is reported as `lookup_failed` with the reason of each address, also where the zone cannot be set as well, and
it is tried again after one minute, two, four, up to `sync_interval`. Only a machine that has never found a zone takes
the default, also when its pin is taken away. A site without internet is best served by a pin: then a look-up that fails
is in the log and nowhere else. A command that names another zone than the one pinned here is `rejected` (`pinned`).

A look-up is one GET per address: 10 s in all, 64 KiB, no redirects, no proxy of the environment; the answer must be
`status: success` with a name of the IANA database.

Only administrators (and the owner of the machine's file) set `timezone_api_url`, to http or https. It can make machines
GET an address inside their own network. That is accepted: a site may run a look-up service of its own, nothing is sent
but the request, no redirect leads further, and of the answer the hub hears zone, country, city and address or, in a few
words, why it is none; an administrator may restart these machines anyway, and each change is on record with its author.

The zone is set through `org.freedesktop.timedate1` on the system bus and read again. Where the bus refuses, the
privileged service is asked (`privileged_socket`); where that refuses, too, or is not there, the
report says "not permitted: install the helper", and still tells the zone, the clock's offset and whether somebody keeps
it in step.

## A clock that is not set
A machine that boots in 1970 connects: deadlines follow the hub's clock, intervals the monotonic one, and the hub dates
and flags its samples. While the clock shows a day before this agent was written, the hub's certificate is checked for
name and issuer but not for its dates.
"""


def page() -> str:
    parts = [OPENING, SERVER + "\n" + _static(table.SERVER), AGENT + "\n" + _static(table.AGENT)]
    parts.append(REMOTE + "\n" + _static(table.REMOTE))
    parts.append(SOURCES + "\n" + _static(table.BACKUP))
    for block in BLOCKS:
        keys = {key: setting for key, setting in SETTINGS.items() if setting.block == block}
        rows = [(key, s.default, _kind(s.kind, s.least, s.most)) for key, s in keys.items()]
        parts.append(f"{TITLES[block]}\n{_table(rows)}")
    return "\n".join([*parts, CLOSING % FREE])


def _static(keys: dict[str, Key]) -> str:
    return _table((key, rule.default, _kind(rule.kind, rule.least, rule.most)) for key, rule in keys.items())


def _kind(kind: str, least: float, most: float) -> str:
    return KINDS.get(kind) or f"{'whole number' if kind == 'whole' else kind}, {least:.12g} to {most:.12g}"


def _table(rows: Iterable[tuple[str, object, str]]) -> str:
    lines = ["| key | default | value | what |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | `{json.dumps(default, ensure_ascii=False)}` | {kind} | {MEANING[key]} |"
        for key, default, kind in rows
    ]
    return "\n".join(lines) + "\n"


def main(argv: list[str]) -> int:
    text = page()
    if "--check" in argv:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print(f"docs/{PAGE.name} is {'up to date' if current else 'out of date'}", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
