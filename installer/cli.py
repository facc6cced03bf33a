"""The verbs `install`, `uninstall` and `bundle` of both doors: reads arguments, prints each change, ends with an exit
code."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from installer import bundle, hub, plan, privileges, release, service
from installer.plan import AGENT, HUB, Product
from installer.release import Release
from installer.steps import InstallError, Step, carry_out
from texts.arguments import Parser
from texts.catalogue import Texts, read
from texts.languages import from_environment

OK: Final = 0
FAILED: Final = 1
NOT_ALLOWED: Final = 4
BUSY: Final = 8
CTRL_C: Final = 130
AGENT_VERBS: Final = ("install", "uninstall")
HUB_VERBS: Final = ("install", "uninstall", "bundle")
BESIDE: Final = ("api_token", "hub_ca", "client_cert", "client_key")
"""Keys of a machine's file that may name a file beside it."""


def main(door: str, argv: Sequence[str]) -> int:
    """`door`: run_device.py or run_hub.py."""
    texts = _texts()
    wanted = _parser(door, texts).parse_args(argv)
    out = Output(texts, as_json=wanted.json, dry_run=getattr(wanted, "dry_run", False))
    try:
        done: int = wanted.verb(wanted, out)
    except InstallError as error:
        return out.failure(error)
    except BrokenPipeError:  # the reader of our output has gone, like `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # a folder that is missing, closed or read-only, a full disk
        why = f"{error.strerror}: {error.filename}" if error.filename else error
        return out.failure(InstallError("unusable", FAILED, why=why))
    except KeyboardInterrupt:
        return out.failure(InstallError("interrupted", CTRL_C))
    return done


class Output:
    """Changes as they come; with --json one object at the end."""

    def __init__(self, texts: Texts, *, as_json: bool, dry_run: bool) -> None:
        self.texts = texts
        self._as_json = as_json
        self.dry_run = dry_run
        self._shown: list[dict[str, str]] = []  # Bound: the steps of one plan

    def step(self, step: Step) -> None:
        self._shown.append({"step": step.key.removeprefix("step."), **{k: str(v) for k, v in step.values.items()}})
        if not self._as_json:
            sentence = self.texts(step.key, **step.values)
            print(self.texts("would", what=sentence) if self.dry_run else sentence, flush=True)

    def end(self, key: str, **values: object) -> int:
        if self._as_json:
            print(
                json.dumps(
                    {
                        "ok": True,
                        "dry_run": self.dry_run,
                        "changes": self._shown,
                        **{k: str(v) for k, v in values.items()},
                    }
                )
            )
        else:
            nothing = not self._shown and "nothing" in self.texts
            print(self.texts("nothing") if nothing else self.texts("changed", count=len(self._shown)))
            if not self.dry_run:
                print(self.texts(key, **values))
        return OK

    def failure(self, error: InstallError) -> int:
        message, fix = self.texts(error.code, **error.values), self.texts(f"{error.code}.fix", **error.values)
        if self._as_json:
            print(json.dumps({"error": {"code": error.code, "message": message, "hint": fix}}), file=sys.stderr)
        else:
            print(self.texts("failed", message=message, fix=fix), file=sys.stderr)
        return error.exit_code


def install_agent(wanted: argparse.Namespace, out: Output) -> int:
    with _alone(out):
        python, carried = release.carried(AGENT.home, plan.SOURCE)
        release.check_python(python)
        made = plan.release_of(AGENT, wanted.wheels, python)
        file = AGENT.settings / "machine.json"
        own = _machine_file(wanted.config) if wanted.config is not None else plan.kept_settings(AGENT)
        source = wanted.config or (file if file.exists() else None)
        own += privileges.steps(plan.read(source) if source is not None else b"")
        carry_out(plan.files(AGENT, made, [*own, *carried]), out.step, dry_run=out.dry_run)
        configured = file.exists() or wanted.config is not None
        _run(AGENT, made, out, configured=configured, anew=False)
        carry_out(release.retired(AGENT.home, made.name), out.step, dry_run=out.dry_run)
    key = "agent_enrol" if not configured else "agent_runs" if service.runs() else "starts_later"
    return out.end(key, release=made.name, command=AGENT.command, name=AGENT.service)


def _machine_file(path: Path) -> list[Step]:
    content = plan.read(path)
    try:
        found = json.loads(content)
        named = {key: str(found[key]) for key in BESIDE if found.get(key)}
    except (ValueError, AttributeError, TypeError) as error:
        raise InstallError("no_machine_file", 3, path=path, why=error) from error
    named = {
        key: value.removeprefix("file:")
        for key, value in named.items()
        if key != "api_token" or value.startswith("file:")
    }
    far = next((key for key, value in named.items() if Path(value).name != value), None)
    if far is not None:
        raise InstallError("far_file", 3, key=far, path=path, value=named[far])
    beside = {name: plan.read(path.parent / name) for name in named.values()}
    return plan.given_settings(AGENT, path, beside)


def install_hub(wanted: argparse.Namespace, out: Output) -> int:
    with _alone(out):
        python, carried = release.carried(HUB.home, plan.SOURCE)
        release.check_python(python)
        made = plan.release_of(HUB, wanted.wheels, python)
        own = hub.settings(wanted)
        anew = not own[-1].is_done()  # its settings, which it reads at its start
        carry_out(plan.files(HUB, made, [*own, *carried]), out.step, dry_run=out.dry_run)
        _run(HUB, made, out, configured=True, anew=anew)
        carry_out(release.retired(HUB.home, made.name), out.step, dry_run=out.dry_run)
    key = "hub_runs" if service.runs() else "starts_later"
    return out.end(key, release=made.name, command=HUB.command, name=HUB.service)


def _run(product: Product, made: Release, out: Output, *, configured: bool, anew: bool) -> None:
    if service.runs() and out.dry_run:
        carry_out(plan.to_run(product, made, configured=configured, anew=anew), out.step, dry_run=True)
    elif service.runs():
        plan.running(product, made, configured=configured, report=out.step)


def _uninstall(product: Product) -> Callable[[argparse.Namespace, Output], int]:
    def uninstall(wanted: argparse.Namespace, out: Output) -> int:
        with _alone(out):
            carry_out(plan.removal(product, purge=wanted.purge), out.step, dry_run=out.dry_run)
        kept = [str(path) for path in (product.settings, product.state) if path.exists()]
        return out.end("kept" if kept else "removed", folders=", ".join(kept))

    return uninstall


def _bundle(wanted: argparse.Namespace, out: Output) -> int:
    facts = bundle.make(
        wanted.folder.absolute(), wanted.python, wanted.processor, wanted.circle, out.step, wanted.with_python
    )
    return out.end("bundled", folder=wanted.folder, **facts)


@contextlib.contextmanager
def _alone(out: Output) -> Iterator[None]:
    """As root, and no two at once; the lock is the root folder's, so that it leaves no file."""
    if os.geteuid() != 0:
        if not out.dry_run:
            raise InstallError("not_root", NOT_ALLOWED, command=" ".join(sys.argv[:2]))
        yield
        return
    descriptor = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.umask(0o022)
        yield
    except BlockingIOError as error:
        raise InstallError("busy", BUSY) from error
    finally:
        os.close(descriptor)


def grammar(door: str) -> argparse.ArgumentParser:
    """Its verbs and flags, for completion by a shell."""
    return _parser(door, _texts())


def _texts() -> Texts:
    return read(Path(__file__).parent / "locales", from_environment(os.environ))


def _parser(door: str, texts: Texts) -> argparse.ArgumentParser:
    parser = Parser(prog=door, description=texts("what"), language=texts.language)
    verbs = parser.add_subparsers(required=True, metavar="|".join(HUB_VERBS if door == "run_hub.py" else AGENT_VERBS))
    product = HUB if door == "run_hub.py" else AGENT
    install = _verb(verbs, "install", f"install_{product.name}", texts)
    install.add_argument("--wheels", type=Path, metavar="DIR", help=texts("help_wheels"))
    remove = _verb(verbs, "uninstall", "uninstall", texts)
    remove.set_defaults(verb=_uninstall(product))
    remove.add_argument(
        "--purge", action="store_true", help=texts("help_purge", settings=product.settings, state=product.state)
    )
    for each in (install, remove):
        each.add_argument("--dry-run", action="store_true", help=texts("help_dry_run"))
    if product is AGENT:
        install.set_defaults(verb=install_agent)
        install.add_argument("--config", type=Path, metavar="FILE", help=texts("help_config"))
    else:
        install.set_defaults(verb=install_hub)
        _hub_arguments(install, texts)
        _bundle_arguments(_verb(verbs, "bundle", "bundle", texts), texts)
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, key: str, texts: Texts
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=texts(f"help_{key}"), description=texts(f"help_{key}"))
    verb.add_argument("--json", action="store_true", help=texts("help_json"))
    return verb


def _hub_arguments(install: argparse.ArgumentParser, texts: Texts) -> None:
    for name in hub.FLAGS:
        install.add_argument(
            f"--{name.replace('_', '-')}", metavar="VALUE", help=texts("help_setting", name=f"RVM_{name.upper()}")
        )
    for name in ("tls-cert", "tls-key"):
        install.add_argument(f"--{name}", type=Path, metavar="FILE", help=texts("help_tls", folder=hub.TLS))
    install.add_argument("--tls-authority", type=Path, metavar="FILE", help=texts("help_tls_authority", folder=hub.TLS))
    install.add_argument("--backup-dir", type=Path, metavar="DIR", help=texts("help_backup_dir", folder=hub.BACKUPS))
    install.add_argument("--backup-days", type=int, metavar="DAYS", help=texts("help_backup_days"))


def _bundle_arguments(verb: argparse.ArgumentParser, texts: Texts) -> None:
    verb.set_defaults(verb=_bundle)
    verb.add_argument("folder", type=Path, metavar="FOLDER", help=texts("help_bundle_folder"))
    verb.add_argument("--python", action="append", choices=bundle.PYTHONS, help=texts("help_bundle_python"))
    verb.add_argument(
        "--with-python", action="append", default=[], type=Path, metavar="ARCHIVE", help=texts("help_bundle_carried")
    )
    verb.add_argument("--processor", action="append", choices=bundle.PROCESSORS, help=texts("help_bundle_processor"))
    verb.add_argument("--circle", choices=("device", "hub"), default="device", help=texts("help_bundle_circle"))
