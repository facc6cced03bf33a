"""Reads an event for its sentence: values, changed members, instants. Pure. Trusts nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from dashboard.foreign_text import MOST, plain, shown
from dashboard.reader import Reader
from dashboard.settings import amount

Event = Mapping[str, Any]
NOTHING: Final = "—"


@dataclass(frozen=True)
class Names:
    """That the reader may know: people by number as text; machines and removed machines by id."""

    people: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[int, str] = field(default_factory=dict)
    gone: Mapping[int, str] = field(default_factory=dict)

    def who(self, r: Reader, actor: str) -> str:
        """`user:3` as a name, `machine:7` as "the machine"."""
        kind, _, number = actor.partition(":")
        if kind == "user":
            return plain(self.people.get(number) or r.t("who.user", id=number))
        return r.text_of("who", plain(kind, 40))

    def machine(self, r: Reader, rvm_id: int | None) -> str:
        if rvm_id is None:
            return ""
        there = self.machines.get(rvm_id)
        return plain(there or self.gone.get(rvm_id) or r.t("machine.gone", id=rvm_id))


class EventReading(NamedTuple):
    r: Reader
    code: str
    params: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    names: Names
    actor: str = ""

    def words(self, part: str, **values: object) -> str:
        return self.r.t(f"event.{part}", **values)

    def param(self, name: str, most: int = MOST) -> str:
        return value(self.r, self.params.get(name), most)

    def person(self) -> str:
        known = self.params.get("email") or self.names.people.get(str(self.params.get("user_id")))
        return plain(known) if known else self.r.t("who.user", id=self.param("user_id"))


def value(r: Reader, given: object, most: int = MOST) -> str:
    if given is None or given in ("", [], {}):
        return NOTHING
    if isinstance(given, bool):
        return r.t("yes" if given else "no")
    if isinstance(given, (int, float)):
        # Not grouped: a port or a version is no amount.
        whole = isinstance(given, int) or given.is_integer()
        text = repr(int(given) if whole and abs(given) < 1e15 else given)
        return plain(text if whole or r.language == "en" else text.replace(".", ","))
    if isinstance(given, (list, tuple)) and all(isinstance(each, (str, int, float)) for each in given):
        return plain(", ".join(str(each) for each in given), most)
    return plain(given if isinstance(given, str) else shown(given), most)


REMOTE: Final = "remote access"
"""Prefix of a reason that a machine declares for a remote session."""


def reason_words(r: Reader, given: object, most: int = MOST) -> str:
    """With the machine's own word in the reader's language."""
    if isinstance(given, str) and given.partition(":")[0] == REMOTE:
        own = plain(given.partition(":")[2].strip(), most)
        return r.t("event.reason.remote", reason=own) if own else r.t("event.reason.remote.plain")
    return value(r, given, most)


def command_reason(r: Reader, name: object, given: object) -> str:
    """Of a command; why a remote session ends is a word of the hub's."""
    if name == "stop_remote_access":
        return r.text_of("lease.end_reason", plain(str(given), 100))
    return reason_words(r, given)


def mapping(given: object) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def machine_numbers(of: Mapping[str, Any]) -> set[int]:
    """Of a person's machines, by which an event knows them."""
    given = of.get("machines")
    return {each for each in given if isinstance(each, int)} if isinstance(given, (list, tuple)) else set()


def unchosen(e: EventReading) -> list[str]:
    """Which machines, not the whole sets: of thirty that became thirty-one nobody finds it; and that the password is
    another."""
    was, now = (machine_numbers(of) for of in (e.before, e.after))
    moved_words = [
        e.words(f"machines.{what}", names=plain(", ".join(sorted(e.names.machine(e.r, one) for one in moved))))
        for what, moved in (("given", now - was), ("taken", was - now))
        if moved
    ]
    return [*moved_words, *([e.words("password")] if "password" in e.after else [])]


def members(of: Mapping[str, Any], r: Reader) -> list[str]:
    return [f"{plain(name, 60)}: {value(r, each)}" for name, each in of.items()]


def differences(e: EventReading, name_of: Callable[[str], str], units: Mapping[str, str] | None = None) -> list[str]:
    """`name: before → after` of all that changed. `units`: of settings, whose switches are on or off."""
    names = [*e.before, *(name for name in e.after if name not in e.before)]
    changed = [name for name in names if e.before.get(name) != e.after.get(name)]
    return [
        e.words(
            "change",
            name=name_of(name),
            before=_measured(e.r, e.before.get(name), None if units is None else units.get(name, "")),
            after=_measured(e.r, e.after.get(name), None if units is None else units.get(name, "")),
        )
        for name in changed
    ]


def as_chosen(e: EventReading) -> EventReading:
    """A person's role and theme by their names; no password and no machines, which `unchosen` has."""
    before, after = (
        {n: _name(e.r, n, each) for n, each in of.items() if n not in ("password", "machines")}
        for of in (e.before, e.after)
    )
    return e._replace(before=before, after=after)


def _name(r: Reader, name: str, given: object) -> object:
    return r.text_of(name, plain(given, 40)) if name in ("role", "theme") and isinstance(given, str) else given


def _measured(r: Reader, given: object, unit: str | None) -> str:
    if given is None or given in ("", [], {}):
        return r.t("settings.none")
    if unit is not None and isinstance(given, bool):
        return r.t("settings.on" if given else "settings.off")
    if unit and isinstance(given, (int, float)) and not isinstance(given, bool) and abs(given) < 1e15:
        return plain(amount(r, given, unit))
    return value(r, given, 80)


def moment(r: Reader, given: object, zone: str | None = None) -> str:
    """RFC 3339, or epoch ms; with its date."""
    try:
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            return r.stamp(int(given), zone)
        at = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
        return r.stamp(int(at.timestamp() * 1000), zone)
    except (ValueError, OverflowError):
        return plain(str(given), 40)


Parts = tuple[str, list[str]]
"""The head of a sentence, and what follows it; what is empty is left out."""
Sentence = Callable[[EventReading], Parts]


def plainly(*names: str, most: int = MOST) -> Sentence:
    """The sentence of the event's code with these of its parameters, and nothing behind it."""
    return lambda e: (e.words(e.code, **{name: e.param(name, most) for name in names}), [])


def from_address(e: EventReading) -> str:
    return e.words("from", address=e.param("ip", 64)) if e.params.get("ip") else ""
