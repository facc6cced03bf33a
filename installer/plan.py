"""What is installed of the agent and of the hub, step by step, and how it is taken away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.privileged import units
from installer import carried_python, privileges, release, service
from installer.release import Release
from installer.steps import (
    ROOT,
    InstallError,
    Owner,
    Report,
    Step,
    carry_out,
    emptied,
    file,
    folder,
    gone,
    group,
    no_group,
    no_user,
    rights,
    user,
)

SOURCE: Final = Path(__file__).resolve().parent.parent
"""The checkout, bundle or release that this runs from."""
_ALWAYS: Final = (
    "LICENSE",
    "bootstrap.py",
    "run_device.py",
    "archive",
    "certs",
    "device",
    "installer",
    "protocol",
    "texts",
)


@dataclass(frozen=True)
class Product:
    """`service` is restarted; of `units` those of `enabled` start with the computer."""

    name: str
    user: str
    home: Path
    settings: Path
    state: Path
    command: Path
    service: str
    enabled: Sequence[str]
    circle: str
    parts: Sequence[str]
    verbs: str
    """The function of `installer.command` that runs a verb."""

    @property
    def owner(self) -> Owner:
        return self.user, self.user


AGENT: Final = Product(
    name="agent",
    user=units.SERVICE_USER,
    home=Path("/opt/myrvm"),
    settings=Path("/etc/myrvm"),
    state=Path("/var/lib/myrvm"),
    command=Path("/usr/local/bin/myrvm-agent"),
    service="myrvm-agent.service",
    enabled=("myrvm-agent.service", "myrvm-agent.path"),
    circle="device",
    parts=(*_ALWAYS, *(f"locks/device-3.{minor}.txt" for minor in range(10, 14))),
    verbs="agent",
)
HUB: Final = Product(
    name="hub",
    user="myrvm-hub",
    home=Path("/opt/myrvm-hub"),
    settings=Path("/etc/myrvm-hub"),
    state=Path("/var/lib/myrvm-hub"),
    command=Path("/usr/local/bin/myrvm-hub"),
    service="myrvm-hub.service",
    enabled=("myrvm-hub.service", "myrvm-hub-backup.timer"),
    circle="hub",
    parts=(*_ALWAYS, "run_hub.py", "dashboard", "db", "hub", "package.json", "package-lock.json", "locks"),
    verbs="hub",
)


def units_of(product: Product) -> dict[str, str]:
    """Rendered for this computer: name and text."""
    found = sorted((Path(__file__).parent / "units").glob(f"myrvm-{product.name}*"))
    own = {path.name: path.read_text(encoding="utf-8") for path in found}
    code = product.home / "current"
    beside = units.rendered(python=str(code / ".venv" / "bin" / "python"), code=str(code)) if product is AGENT else {}
    return service.fitted(own | beside)


def release_of(product: Product, wheels: Path | None, python: str) -> Release:
    beside = SOURCE / "wheels"
    chosen = wheels.absolute() if wheels is not None else beside if beside.is_dir() else None
    return Release(product.home, SOURCE, product.circle, product.parts, units_of(product), chosen, python)


def files(product: Product, made: Release, own: Sequence[Step]) -> list[Step]:
    """Everything but what runs. `own`: of the settings' folder, and beside the release."""
    names, enabled = sorted(made.units), enabled_of(product, made.units)
    return [
        group(product.user),
        user(product.user, product.state),
        folder(product.home, 0o755),
        folder(product.home / "releases", 0o755),
        folder(product.settings, 0o750, (ROOT[0], product.user)),
        folder(product.state, 0o700, product.owner),
        *own,
        made.step(),
        file(product.command, _command(product).encode(), 0o755),
        made.link(),
        *service.linked(product.home, names),
        *(folder(path, 0o755) for path in service.wants_folders(enabled)),
        *service.enabled(enabled),
    ]


def _command(product: Product) -> str:
    path = f'import sys; sys.path.insert(0, "{product.home}/current")'
    code = f"{path}; from installer import command; command.{product.verbs}()"
    return f"#!/bin/sh\nexec {product.home}/current/.venv/bin/python -I -c '{code}' \"$@\"\n"


def enabled_of(product: Product, names: Iterable[str]) -> list[str]:
    """What starts with the computer: its own, and the sockets and timers beside it."""
    beside = sorted(name for name in names if name.endswith((".socket", ".timer")) and name not in product.enabled)
    return [*product.enabled, *beside]


def to_run(product: Product, made: Release, *, configured: bool, anew: bool) -> list[Step]:
    """What `running` is going to do, before anything of it is there: for a dry run. `anew`: also when it runs already
    what is installed."""
    names, same = sorted(made.units), release.current(product.home) == made.name
    beside = [name for name in enabled_of(product, names) if name != product.service]
    restart = service.on_release(product.home, product.service, made.name)
    return [
        service.reload(names)._replace(is_done=lambda: same),
        *map(service.started, beside),
        *([restart._replace(is_done=lambda: not anew and restart.is_done())] if configured else []),
    ]


def running(product: Product, made: Release, *, configured: bool, report: Report) -> None:
    """Starts what is installed; goes back to the former release if the service does not report ready."""
    names = sorted(made.units)
    beside = [name for name in enabled_of(product, names) if name != product.service]
    carry_out([service.reload(names), *map(service.started, beside)], report, dry_run=False)
    if configured:
        service.exchange(product.home, product.service, names, report)


def removal(product: Product, *, purge: bool) -> list[Step]:
    names = sorted(units_of(product))
    stopping = sorted(names, key=lambda name: name.endswith(".service"))  # what starts a service first
    steps = [
        *(service.stopped(name.replace("@.", "@*.")) for name in stopping),
        *(gone(path) for path in service.traces(names)),
        *map(emptied, service.wants_folders(enabled_of(product, names))),
        service.reload(names),
        gone(product.command),
        gone(product.home / "current"),
        gone(product.home / "releases"),
        *(privileges.removal(purge=purge) if product is AGENT else ()),
    ]
    if purge:
        steps += [gone(product.settings), gone(product.state), no_user(product.user), no_group(product.user)]
    return [*steps, gone_python(product.home / "python"), gone(product.home)]  # last: this may be run by it


def gone_python(top: Path) -> Step:
    def remove() -> None:
        for path in [*top.iterdir(), top]:
            carried_python.remove(path)

    return Step("step.gone", {"path": top}, lambda: not top.is_dir(), remove)


def given_settings(product: Product, source: Path, others: Mapping[str, bytes]) -> list[Step]:
    """A machine's file, and the files that stand beside it."""
    content = read(source)
    return [
        *(file(product.settings / name, held, 0o600, product.owner) for name, held in others.items()),
        file(product.settings / "machine.json", content, 0o600, product.owner),
    ]


def kept_settings(product: Product) -> list[Step]:
    """Whoever wrote it, the agent has to read it and nobody else; what a link leads to is another's, and stays."""
    found = sorted(product.settings.glob("*")) if product.settings.is_dir() else []
    ours = [path for path in found if path.suffix in (".json", ".key", ".pem") and not path.is_symlink()]
    return [rights(path, 0o600, product.owner) for path in ours]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InstallError("unreadable", 3, path=path, why=error.strerror or error) from error
