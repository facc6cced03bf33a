"""The hub's command line: parses arguments, runs the verb, returns the exit code. Imports the standard library only."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

from hub.cli import output
from hub.cli.output import CliError, Exit, sentence
from hub.cli.parser import read

Verb = Callable[[argparse.Namespace], int]


def run(wanted: argparse.Namespace, demo: Verb) -> int:
    """`demo` runs the demo, which the hub does not know."""
    try:
        return (demo if wanted.demo else _verb(wanted.verb))(wanted)
    except CliError as error:
        output.failure(error, wanted.json)
        return int(error.exit_code)
    except KeyboardInterrupt:
        output.note(sentence("interrupted"))
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, like `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.FAILED)


def _verb(name: str) -> Verb:
    if name == "serve":
        from hub.cli import start

        return start.serve
    if name in ("version", "doctor"):
        from hub.cli import doctor

        return doctor.show_version if name == "version" else doctor.examine
    return _on_data(name)


def _on_data(name: str) -> Verb:
    from hub.cli import destinations, hub_backup, machines, people, start, troubles

    verbs: dict[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
        "machine add": machines.add, "machine list": machines.show_all,
        "machine show": machines.show, "machine key": machines.new_key,
        "machine code": machines.code, "machine renew-key": machines.renew_key, "machine remove": machines.remove,
        "machine set-status": machines.set_status, "machine sync-timezone": machines.sync_timezone,
        "user add": people.add, "user list": people.show_all,
        "user edit": people.edit, "user invite": people.invite, "user unlock": people.unlock,
        "user sessions": people.list_sessions, "user sign-out": people.sign_out,
        "token create": people.create_token, "token list": people.list_tokens, "token revoke": people.revoke_token,
        "trouble list": troubles.show_all, "trouble show": troubles.show, "trouble take": troubles.take,
        "trouble release": troubles.release, "trouble snooze": troubles.snooze, "trouble unsnooze": troubles.unsnooze,
        "trouble note": troubles.note,
        "destination list": destinations.show_all, "destination show": destinations.show,
        "destination add": destinations.add, "destination edit": destinations.edit,
        "destination test": destinations.test, "destination remove": destinations.remove,
        "link": people.link, "backup": hub_backup.back_up, "restore": hub_backup.restore,
        "config show": start.show_config,
    }  # fmt: skip
    return lambda wanted: _in_a_loop(verbs[name](wanted))


def _in_a_loop(work: Awaitable[None]) -> int:
    async def to_its_end() -> None:
        await work

    asyncio.run(to_its_end())
    return int(Exit.OK)


__all__ = ["read", "run"]
