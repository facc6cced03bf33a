"""Whether a machine runs the settings that are wanted, as a shape and words. Pure."""

from __future__ import annotations

from typing import NamedTuple

from dashboard.reader import Reader
from dashboard.trouble import View


class Applied(NamedTuple):
    mark: str
    words: str
    errors: str


def applied(view: View, r: Reader) -> Applied:
    errors = view["config_refused"]
    refused = r.t("applied.errors", n=r.number(errors), count=errors) if errors else ""
    wanted, runs = view["config_wanted"], view["config_version"]
    if not wanted:
        return Applied("active", r.t("applied.own_file"), refused)
    if runs == wanted:
        return Applied("warn" if errors else "active", r.t("applied.same"), refused)
    away = view["connection"] in ("offline", "never")
    code = "applied.behind.offline" if away else "applied.behind"
    return Applied("late", r.t(code, wanted=wanted, n=runs), refused)
