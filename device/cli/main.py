"""The agent's command line. Results on stdout, the rest on stderr."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from device.cli import settings_verb, status_verbs
from device.cli.exit_codes import BAD_CONFIGURATION, BUSY, CTRL_C, FAILED, OK
from device.cli.settings_verb import settings_sentence
from device.kernel.log import Log
from device.settings import AgentSettings, AgentSettingsError, load
from device.status.return_session import of_settings
from device.texts import texts_in
from protocol.version import PRODUCT_VERSION
from texts.arguments import Parser
from texts.catalogue import Texts
from texts.completion import SHELLS, Program, script
from texts.languages import from_environment

DEFAULT_CONFIG: Final = "machine.json"
VERBS: Final = ("run", "enrol", "doctor", "status", "busy", "remote", "settings", "restore", "backup", "completion")
PROGRAM: Final = Program("myrvm_agent", "myrvm-agent run_device.py")
Grammar = Callable[[], argparse.ArgumentParser]


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    installer: Grammar | None = None,
) -> int:
    """`installer` has verbs of this door, which the agent does not know."""
    try:
        return _main(argv, os.environ if environ is None else environ, installer)
    except BrokenPipeError:  # the reader of our result has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _main(argv: Sequence[str] | None, environ: Mapping[str, str], installer: Grammar | None) -> int:
    texts = texts_in(from_environment(environ))
    # Defaults live here and not in the parser, where those of an action would undo a flag that stands before it.
    config = Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).exists() else None
    given = argparse.Namespace(action="run", config=config, json=False, exit_with_parent=False, version=False)
    parser = _parser(texts)
    arguments = parser.parse_args(argv, given)
    if arguments.version:
        facts = {"myrvm": PRODUCT_VERSION, "python": platform.python_version()}
        print(json.dumps(facts) if arguments.json else f"MyRVM agent {PRODUCT_VERSION}")
        return OK
    if arguments.action == "completion":
        print(script(arguments.shell, PROGRAM, parser, *([installer()] if installer else [])))
        return OK
    if arguments.action == "doctor":
        from device.cli.doctor import examine

        return examine(arguments.config, environ, texts, as_json=arguments.json)
    if arguments.action == "restore":
        from device.cli import restore_verb

        return restore_verb.restore(texts, arguments, partial(_complain, texts, arguments))
    if arguments.action == "backup" and arguments.backup == "show":
        from device.cli import backup_verbs

        return backup_verbs.show(texts, arguments, partial(_complain, texts, arguments))
    if arguments.action == "enrol":
        from device.cli import enrol_verb

        return enrol_verb.enrol(environ, texts, arguments, partial(_complain, texts, arguments))
    try:
        settings = load(arguments.config, environ)
    except AgentSettingsError as error:
        return _complain(texts, arguments, error.code, _ended(error, arguments), settings_sentence(error, texts))
    complain = partial(_complain, texts, arguments)
    if arguments.action == "status":
        return status_verbs.status(settings, texts, arguments, complain)
    if arguments.action == "busy":
        return status_verbs.busy(settings, of_settings(settings), texts, arguments, complain)
    if arguments.action == "remote":
        from device.cli import remote_verbs

        return remote_verbs.remote(settings, texts, arguments, complain)
    if arguments.action == "backup":
        from device.cli import backup_verbs

        return backup_verbs.backup(settings, texts, arguments, complain)
    if arguments.action == "settings":
        return settings_verb.settings(settings, texts, arguments, complain)
    return _run(settings, texts, environ, arguments)


class _AgentParser(Parser):
    """Its JSON has all in the hint, as every refusal of the agent."""

    def refusal(self, message: str, fix: str) -> dict[str, str]:
        return {"code": "usage", "hint": f"{message}; {fix}"}


def _ended(error: AgentSettingsError, arguments: argparse.Namespace) -> int:
    """Whoever starts the agent stops at a bad configuration until the folder of its file changes. A file elsewhere (on
    a disk that is not there yet) may be mended without that, so it is tried again."""
    file = error.values.get("file")
    beside = arguments.config is None or file is None or Path(str(file)).parent == arguments.config.parent
    return FAILED if arguments.action == "run" and not beside else BAD_CONFIGURATION


def _parser(texts: Texts) -> argparse.ArgumentParser:
    shared = Parser(language=texts.language, add_help=False)
    shared.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=texts("cli_config"))
    shared.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=texts("cli_json"))
    running = Parser(language=texts.language, add_help=False)
    running.add_argument("--exit-with-parent", action="store_true", default=argparse.SUPPRESS, help=texts("cli_parent"))
    parser: argparse.ArgumentParser = _AgentParser(
        prog="run_device.py",
        description=texts("cli_what"),
        epilog=f"{texts('cli_examples')}\n\n{texts('cli_codes')}",
        language=texts.language,
        beside=("install", "uninstall"),
        parents=[shared, running],
    )
    parser.add_argument("--version", action="store_true", help=texts("cli_version"))
    actions = parser.add_subparsers(metavar=" | ".join(VERBS))
    for name in VERBS:
        parents = [shared, running] if name == "run" else [shared]
        action = actions.add_parser(name, parents=parents, help=texts(f"cli_{name}"), description=texts(f"cli_{name}"))
        action.set_defaults(action=name)
        _add_arguments(name, action, texts)
    return parser


def _add_arguments(name: str, action: argparse.ArgumentParser, texts: Texts) -> None:
    if name == "completion":
        action.add_argument("shell", choices=SHELLS, help=texts("cli_completion_shell"))
    elif name == "status":
        status_verbs.add_status_arguments(action, texts)
    elif name == "enrol":
        from device.cli.enrol_verb import add_enrol_arguments

        add_enrol_arguments(action, texts)
    elif name == "busy":
        action.add_argument("busy", nargs="?", choices=("on", "off"), help=texts("cli_busy_new"))
    elif name == "remote":
        from device.cli.remote_verbs import add_remote_arguments

        add_remote_arguments(action, texts)
    elif name == "settings":
        settings_verb.add_settings_arguments(action, texts)
    elif name == "restore":
        from device.cli.restore_verb import add_restore_arguments

        add_restore_arguments(action, texts)
    elif name == "backup":
        from device.cli.backup_verbs import add_backup_arguments

        add_backup_arguments(action, texts)


def _run(settings: AgentSettings, texts: Texts, environ: Mapping[str, str], arguments: argparse.Namespace) -> int:
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
        return _complain(texts, arguments, "state_unusable", FAILED, sentence)  # not 3: a full disk has room again
    return CTRL_C if interrupted else OK


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` when standard input ends."""

    def wait_for_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait_for_end, name="parent", daemon=True).start()


def _complain(texts: Texts, arguments: argparse.Namespace, code: str, exit_code: int, sentence: str) -> int:
    if arguments.json:
        print(json.dumps({"error": {"code": code, "hint": sentence}}), file=sys.stderr)
    else:
        print(texts("complaint", sentence=sentence), file=sys.stderr)
    return exit_code
