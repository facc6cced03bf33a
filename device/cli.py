"""The agent's command line: arguments in, exit code out (dashboard.md 5.1). Results on stdout, the rest on stderr."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from device.core.machine_state import IllegalStatusError, MachineState
from device.core.memory import Memory
from device.journal import Journal
from device.log import Log
from device.settings import Settings, SettingsError, load
from device.settings_words import settings_sentence
from device.status_mailbox import StatusMailbox, StatusRequest
from device.texts import Texts, language_of
from protocol.version import PRODUCT_VERSION

OK: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
BAD_CONFIGURATION: Final = 3
BUSY: Final = 8
CTRL_C: Final = 130
DEFAULT_CONFIG: Final = "machine.json"


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Do what the command line says."""
    try:
        return _main(argv, os.environ if environ is None else environ)
    except BrokenPipeError:  # the reader of our result has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _main(argv: Sequence[str] | None, environ: Mapping[str, str]) -> int:
    texts = Texts(language_of(environ))
    # Defaults live here and not in the parser, where those of an action would undo a flag that stands before it.
    config = Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).exists() else None
    given = argparse.Namespace(action="run", config=config, json=False, exit_with_parent=False)
    arguments = _parser(texts).parse_args(argv, given)
    if arguments.action == "doctor":
        from device.doctor import examine

        return examine(arguments.config, environ, texts, as_json=arguments.json)
    try:
        settings = load(arguments.config, environ)
    except SettingsError as error:
        return _complain(texts, arguments, error.code, BAD_CONFIGURATION, settings_sentence(error, texts))
    if arguments.action == "status":
        return _status(settings, texts, arguments)
    return _run(settings, texts, environ, arguments)


def _parser(texts: Texts) -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=texts("cli_config"))
    shared.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=texts("cli_json"))
    running = argparse.ArgumentParser(add_help=False)
    running.add_argument("--exit-with-parent", action="store_true", default=argparse.SUPPRESS, help=texts("cli_parent"))
    parser = argparse.ArgumentParser(
        prog="run_device.py",
        description=texts("cli_what"),
        epilog=f"{texts('cli_examples')}\n\n{texts('cli_codes')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared, running],
    )
    parser.add_argument("--version", action="version", version=f"MyRVM agent {PRODUCT_VERSION}")
    actions = parser.add_subparsers(metavar="run | doctor | status")
    for name, parents in (("run", [shared, running]), ("doctor", [shared]), ("status", [shared])):
        action = actions.add_parser(name, parents=parents, help=texts(f"cli_{name}"), description=texts(f"cli_{name}"))
        action.set_defaults(action=name)
        if name == "status":
            action.add_argument("status", nargs="?", metavar="STATUS", help=texts("cli_status_new"))
            action.add_argument("--capacity", type=int, metavar="PERCENT", help=texts("cli_capacity"))
            action.add_argument("--special-status", metavar="STATUS", help=texts("cli_special"))
            action.add_argument("--reason", metavar="TEXT", help=texts("cli_reason"))
    return parser


def _run(settings: Settings, texts: Texts, environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
    from device import agent

    log = Log(texts, settings.api_token, environ)
    interrupted = False

    async def until_stopped() -> None:
        nonlocal interrupted
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            stop.set()

        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        if arguments.exit_with_parent:
            _watch_parent(loop, stop)
        await agent.run(settings, log, environ, stop)

    folder = settings.state_dir
    try:
        asyncio.run(until_stopped())
    except agent.AlreadyRunningError:
        return _complain(texts, arguments, "already_running", BUSY, texts("already_running", folder=folder))
    except OSError as error:
        sentence = texts("state_unusable", folder=folder, why=error.strerror or error)
        return _complain(texts, arguments, "state_unusable", BAD_CONFIGURATION, sentence)
    return CTRL_C if interrupted else OK


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` when standard input ends: whoever holds its other end is gone."""

    def wait_for_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_end, name="parent", daemon=True).start()


def _status(settings: Settings, texts: Texts, arguments: argparse.Namespace) -> int:
    """Show what the machine declares itself to be, or leave a new declaration for the agent."""
    changes = (arguments.status, arguments.capacity, arguments.special_status, arguments.reason)
    if all(change is None for change in changes):
        return _show_status(settings, texts, arguments)
    request = StatusRequest(status=changes[0], capacity=changes[1], special_status=changes[2], reason=changes[3])
    try:
        StatusMailbox(settings.state_dir).post(request)
    except IllegalStatusError as error:
        return _complain(texts, arguments, "illegal_status", WRONG_USAGE, str(error))
    except OSError as error:
        sentence = texts("state_unusable", folder=settings.state_dir, why=error.strerror or error)
        return _complain(texts, arguments, "state_unusable", FAILED, sentence)
    print(json.dumps({"accepted": True}) if arguments.json else texts("status_left"))
    return OK


def _show_status(settings: Settings, texts: Texts, arguments: argparse.Namespace) -> int:
    memory = Memory()
    try:
        for fact in Journal(settings.state_dir / "journal").load():
            memory.apply(fact)
    except OSError as error:
        sentence = texts("state_unusable", folder=settings.state_dir, why=error.strerror or error)
        return _complain(texts, arguments, "state_unusable", FAILED, sentence)
    state: MachineState = memory.state
    known = {**msgspec.to_builtins(state), "status": state.status, "effective_status": state.effective_status}
    print(json.dumps(known) if arguments.json else texts("status_is", status=state.effective_status))
    return OK


def _complain(texts: Texts, arguments: argparse.Namespace, code: str, exit_code: int, sentence: str) -> int:
    if arguments.json:
        print(json.dumps({"error": {"code": code, "hint": sentence}}), file=sys.stderr)
    else:
        print(texts("complaint", sentence=sentence), file=sys.stderr)
    return exit_code
