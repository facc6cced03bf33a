"""The hub's command line: parses arguments, runs the verb, returns the exit code. Imports the standard library only."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from hub.cli import output
from hub.cli.output import CliError, Exit, sentence
from hub.cli.parser import build, read
from texts.completion import Program, script

Verb = Callable[[argparse.Namespace], int]


def run(wanted: argparse.Namespace, demo: Verb, installer: Callable[[], argparse.ArgumentParser] | None = None) -> int:
    """`demo` runs the demo, `installer` has verbs of this door: the hub knows neither."""
    output.speak(quiet=wanted.is_quiet, verbose=wanted.is_verbose)
    try:
        if wanted.verb == "completion":
            return show_completion(wanted, installer)
        return (demo if wanted.demo else _verb(wanted.verb))(wanted)
    except CliError as error:
        output.failure(error, wanted.json)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return _interrupted(wanted)
    except BrokenPipeError:  # the reader of our output has gone, like `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.FAILED)


def _interrupted(wanted: argparse.Namespace) -> int:
    """What the machine was asked for goes on: where it can be followed."""
    url = getattr(wanted, "follow", "")
    follow = sentence("machine.goes_on", url=url) if url else ""
    if wanted.json:
        output.failure(CliError(Exit.INTERRUPTED, "interrupted", sentence("interrupted"), follow), as_json=True)
    else:
        output.note("\n".join(filter(None, (follow, sentence("interrupted")))))
    return int(Exit.INTERRUPTED)


def _verb(name: str) -> Verb:
    if name == "serve":
        from hub.cli import start

        return start.serve
    if name in ("version", "doctor"):
        from hub.cli import doctor

        return doctor.show_version if name == "version" else doctor.examine
    return _on_data(name)


def _on_data(name: str) -> Verb:
    from hub.cli import destinations, hub_backup, machine_commands, machines, people, start, troubles

    verbs: dict[str, Callable[[argparse.Namespace], Awaitable[None]]] = {
        "machine add": machines.add, "machine list": machines.show_all,
        "machine show": machines.show, "machine key": machines.new_key,
        "machine code": machines.code, "machine remove": machines.remove,
        "machine renew-key": machine_commands.renew_key, "machine set-status": machine_commands.set_status,
        "machine sync-timezone": machine_commands.sync_timezone, "machine backup": machine_commands.backup,
        "user add": people.add, "user list": people.show_all,
        "user edit": people.edit, "user invite": people.invite, "user unlock": people.unlock,
        "user reset-2step": people.reset_two_step,
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


PROGRAM: Final = Program("myrvm_hub", "myrvm-hub run_hub.py", ("--data-dir", "--database-url"))


def show_completion(wanted: argparse.Namespace, installer: Callable[[], argparse.ArgumentParser] | None) -> int:
    """A script for the shell, made of the parsers; or the machines that it asks for."""
    if wanted.names:
        from hub.cli import machines

        return _in_a_loop(machines.show_words(wanted))
    output.result(script(wanted.shell, PROGRAM, build(), *([installer()] if installer else [])))
    return int(Exit.OK)


__all__ = ["read", "run"]
