"""`/alerts/rules`: what the hub watches, by which limits, and how often that began; with a preview of another limit,
whose value is in the address."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from dashboard import settings
from dashboard.reader import Reader
from hub.attention import page, preview, rules
from hub.attention.preview import MOST_TROUBLES, OUTAGE, WITHIN_S, Rule
from hub.model.access import role_needed
from hub.web.http.download_slots import PreviewReads
from hub.web.http.problems import Problem
from hub.web.shell.page import Visit
from protocol import configuration

SETTINGS_PAGE: Final = "/admin/settings"
SHARE: Final = (0.0, 100.0)


class RuleShown(NamedTuple):
    """`limit` in words, "" where there is none; `setting`: where it is set, None: nowhere."""

    rule: Rule
    limit: str
    setting: str | None


async def show_rules(visit: Visit) -> Response:
    return visit.render("alert_rules.html", **await part_rules(visit), **await _preview(visit))


async def part_rules(visit: Visit) -> dict[str, Any]:
    found = await preview.all_rules(visit.context, visit.user, visit.now)
    kinds: dict[str, list[RuleShown]] = {}
    for rule in found.rules:
        kinds.setdefault(rule.kind, []).append(_shown(visit.reader, rule))
    return {
        "kinds": kinds, "most": None if found.whole else MOST_TROUBLES, "short_s": rules.SHORT.total_seconds(),
        "counts": page.tab_counts(visit),
    }  # fmt: skip


def _shown(reader: Reader, rule: Rule) -> RuleShown:
    return RuleShown(rule, _limit(reader, rule), rule.setting)


def _limit(reader: Reader, rule: Rule) -> str:
    if isinstance(rule.limit, bool):
        return reader.t("settings.on" if rule.limit else "settings.off")
    if rule.limit is None:
        return ""
    if rule.unit == "s":
        span = reader.span(rule.limit)
        return span if rule.setting is None else reader.t("rules.limit.interval", span=span)
    if rule.cause == OUTAGE:
        return reader.t("rules.limit.machines", n=reader.number(rule.limit))
    return reader.limit("temperature" if rule.cause == "hot" else "share", rule.limit)


async def _preview(visit: Visit) -> dict[str, Any]:
    """What was asked for in the address."""
    query = visit.request.query_params
    cause = query.get("cause", "") if query.get("cause") in rules.LIMITED else next(iter(rules.LIMITED))
    reading, setting = rules.LIMITED[cause]
    text = query.get("limit", "").strip()[:20]
    asked: dict[str, Any] = {
        "cause": cause, "causes": tuple(rules.LIMITED), "text": text, "reading": reading, "made": None, "fault": "",
        "sample_s": visit.context.fleet.settings.shared.metrics_interval, "within_s": WITHIN_S, "address": None,
        "needs": None, "refused": "",
    }  # fmt: skip
    if not text:
        now = getattr(visit.context.fleet.settings.shared.limits, reading)
        return {"asked": asked | {"text": settings.text_of(float(now), "number")}}
    value = settings.value_of(text, "number")
    known = None if setting is None else configuration.SETTINGS[setting]
    least, most = SHARE if known is None else (known.least, known.most)
    if not isinstance(value, (int, float)) or not least <= value <= most:
        bounds = {"least": visit.reader.limit(reading, least), "most": visit.reader.limit(reading, most)}
        return {"asked": asked | {"fault": visit.reader.t("rules.try.wrong", **bounds)}}
    try:
        made = partial(preview.preview, visit.context, visit.user, cause, float(value), visit.now)
        asked["made"] = await visit.context[PreviewReads].newest(visit.user.actor, made)
    except Problem as refused:
        return {"asked": asked | {"refused": visit.sentence(refused)}}
    if setting is not None and visit.may("fleet_config.write"):
        asked["address"] = f"{SETTINGS_PAGE}?set={setting}&value={value:g}#v.{setting}"
    elif setting is not None:
        asked["needs"] = role_needed("fleet_config.write")
    return {"asked": asked}
