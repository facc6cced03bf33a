"""The figures of the machine page, specified in Python; the page's plotly.js draws them with live points.

A specification has every trace with its look and metric (`meta`), but no points. Importing plotly takes most of a
second: on first use, in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dashboard import formats
from dashboard.fleet import STATUSES
from dashboard.history_points import CARDS
from dashboard.texts import texts_in

FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif'
WINDOW_S = 600

TOKENS: Mapping[str, Mapping[str, str]] = {
    "light": {
        "surface": "#fff", "text": "#141a22", "muted": "#4a5564", "border": "#d3d9e1", "surface-2": "#eceff3",
        "l1": "#135cb8", "l2": "#a33d28", "l3": "#17907d", "l4": "#4d1f44", "l5": "#b87a00",
        "m-active": "#006b58", "m-inactive": "#84888d", "m-maintenance": "#2479ee", "m-full": "#a97a23",
        "m-error": "#a50104", "m-unknown": "#810b86",
    },
    "dark": {
        "surface": "#161b22", "text": "#e9edf2", "muted": "#a8b3c0", "border": "#2c3540", "surface-2": "#1f2630",
        "l1": "#5aa0ff", "l2": "#f0573b", "l3": "#8cf5d2", "l4": "#a5799a", "l5": "#f1df32",
        "m-active": "#8ee3ba", "m-inactive": "#8b8c8e", "m-maintenance": "#4b83d8", "m-full": "#fbbb16",
        "m-error": "#d9654b", "m-unknown": "#ecd9ff",
    },
}  # fmt: skip
"""Of tokens.css: Plotly takes no CSS variables."""

LINES = {
    "cpu_usage": ("l1", "solid"), "gpu_usage": ("l2", "dash"), "memory_usage": ("l3", "solid"),
    "disk_usage": ("l4", "solid"), "temperature": ("l5", "solid"), "capacity": ("l1", "solid"),
    "network_rx_bytes_s": ("l1", "solid"), "network_tx_bytes_s": ("l2", "dash"),
}  # fmt: skip
FITTED = {"temperature": 150.0}
"""Metrics whose axis fits the values and the limits in view, and the highest limit worth a place on it."""
BAND = 0.12
"""How much of its colour what lies between lowest and highest has."""
STRIP_PX = 10
FIGURES = {"load": ("cpu_usage", "gpu_usage"), "temperature": ("temperature",)}


@lru_cache(maxsize=16)
def specification(theme: str, language: str, limits: tuple[tuple[str, float, float], ...]) -> dict[str, Any]:
    """As JSON. `limits`: metric, warning limit, critical limit."""
    token = TOKENS["dark" if theme == "dark" else "light"]
    return {
        "figures": {
            name: _figure(metrics, token, language, [limit[1:] for limit in limits if limit[0] == metrics[0]])
            for name, metrics in FIGURES.items()
        },
        "gap": {"shape": _gap_shape(token), "annotation": _gap_words(token)},
        "config": {
            "displayModeBar": False, "responsive": True, "scrollZoom": False, "doubleClick": False, "locale": language,
        },
    }  # fmt: skip


@lru_cache(maxsize=16)
def history_specification(theme: str, language: str, limits: tuple[tuple[str, float, float], ...]) -> dict[str, Any]:
    """As `specification`, of the charts of a History page: around each line what was lowest and highest, and above the
    grid a strip of status."""
    token = TOKENS["dark" if theme == "dark" else "light"]
    made = specification(theme, language, limits)
    figures = {
        name: _figure(metrics, token, language, [limit[1:] for limit in limits if limit[0] == metrics[0]])
        for name, metrics in CARDS.items()
    }
    for name, figure in figures.items():
        figure["data"] = [*map(_band, figure["data"]), *figure["data"]]
        figure["data"].append(_status_words(texts_in(language)("spell.status")))
        figure["layout"]["margin"] |= {"t": figure["layout"]["margin"]["t"] + STRIP_PX}
        figure["layout"]["legend"] |= {"y": 1.06}
        if name == "network":
            figure["layout"]["yaxis"] |= {
                "ticksuffix": "B/" + {"en": "s", "id": "dtk"}[language], "tickformat": "~s", "rangemode": "tozero",
            }  # fmt: skip
            del figure["layout"]["yaxis"]["range"]
            figure["layout"]["margin"] |= {"l": 68, "r": 40}  # room for "900 MB/dtk"; no threshold names itself
    tones = {kind: token[f"m-{kind}"] for kind in STATUSES} | {"mark": token["muted"], "ground": token["surface"]}
    return {**made, "figures": figures, "tones": tones}


def _band(line: Mapping[str, Any]) -> dict[str, Any]:
    """Its outline is the page's to draw, a piece for each time without a gap; below the lines."""
    red, green, blue = (int(_whole(line["line"]["color"])[at : at + 2], 16) for at in (1, 3, 5))
    return {
        "type": "scatter", "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False,
        "fill": "toself", "fillcolor": f"rgba({red},{green},{blue},{BAND})", "meta": f"{line['meta']}.band",
    }  # fmt: skip


def _whole(colour: str) -> str:
    return colour if len(colour) == 7 else "#" + "".join(letter * 2 for letter in colour[1:])


def _status_words(name: str) -> dict[str, Any]:
    """Nothing to see: under the pointer it names what the machine was then."""
    return {
        "type": "scatter", "mode": "lines", "line": {"width": 0}, "showlegend": False, "name": name, "meta": "status",
        "hovertemplate": "%{text}",
    }  # fmt: skip


def _figure(
    metrics: tuple[str, ...], token: Mapping[str, str], language: str, limits: list[tuple[float, float]]
) -> Any:
    import plotly.graph_objects as go

    t = texts_in(language)
    unit = {"temperature": "°C", "network_rx_bytes_s": "B/" + {"en": "s", "id": "dtk"}[language]}.get(metrics[0], "%")
    figure = go.Figure()
    for metric in metrics:
        colour, dash = LINES[metric]
        figure.add_trace(
            go.Scatter(
                name=t(f"metric.{metric}"),
                meta=metric,
                mode="lines",
                connectgaps=False,
                line={"color": token[colour], "width": 1.75, "dash": dash, "shape": "linear"},
                hovertemplate=("%{y:.3s}" if metric.startswith("network") else "%{y:.1f} ") + unit,
            )
        )
    figure.update_layout(_layout(token, language, unit, len(metrics) > 1))
    top = FITTED.get(metrics[0], 100.0)
    for warning, critical in limits:
        _threshold(figure, warning, "dot", t("chart.warn", value=formats.measured(warning, language)), token)
        # At the very edge of the scale a line says nothing that the scale does not.
        if critical < top:
            _threshold(figure, critical, "dash", t("chart.crit", value=formats.measured(critical, language)), token)
    drawn: dict[str, Any] = figure.to_plotly_json()
    drawn["layout"].pop("template", None)
    for member in ("shapes", "annotations"):
        drawn["layout"].setdefault(member, [])
    drawn["layout"] = {**drawn["layout"], "shapes": list(drawn["layout"]["shapes"])}
    in_view = [limit for pair in limits for limit in pair if limit < top] if metrics[0] in FITTED else None
    return {"data": list(drawn["data"]), "layout": drawn["layout"], "in_view": in_view}


def _layout(token: Mapping[str, str], language: str, unit: str, legend: bool) -> dict[str, Any]:
    grid = {"gridcolor": token["border"], "zeroline": False, "linecolor": token["border"]}
    return {
        "margin": {"l": 44, "r": 64, "t": 30 if legend else 10, "b": 28},
        "paper_bgcolor": token["surface"],
        "plot_bgcolor": token["surface"],
        "font": {"family": FONT, "size": 12, "color": token["muted"]},
        "separators": ",." if language == "id" else ".,",
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": token["surface"], "bordercolor": token["border"], "font": {"color": token["text"]},
        },
        "showlegend": legend,
        # Above the grid and without a ground of its own: what it covers of the picture is nothing.
        "legend": {
            "orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)",
            "font": {"color": token["text"]},
        },
        "xaxis": {
            "type": "date", "showspikes": True, "spikemode": "across", "spikethickness": 1, "spikedash": "dot",
            "spikecolor": token["muted"], "tickformat": "%H.%M" if language == "id" else "%H:%M",
            "hoverformat": "%H.%M.%S" if language == "id" else "%H:%M:%S", "nticks": 6, **grid,
        },
        "yaxis": {
            "range": [0, 102], "ticksuffix": f"\u202f{unit}", "fixedrange": True,
            "nticks": 6, **grid,
        },
        "dragmode": "zoom",
    }  # fmt: skip


def _threshold(figure: Any, value: float, dash: str, words: str, token: Mapping[str, str]) -> None:
    figure.add_shape(
        type="line", xref="paper", x0=0, x1=1, yref="y", y0=value, y1=value,
        line={"color": token["muted"], "width": 1, "dash": dash}, layer="between",
    )  # fmt: skip
    figure.add_annotation(
        xref="paper", x=1, xanchor="left", yref="y", y=value, text=words, showarrow=False, xshift=4,
        font={"size": 11, "color": token["muted"]},
    )  # fmt: skip


def _gap_shape(token: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "fillcolor": token["surface-2"],
        "line": {"width": 0}, "layer": "below",
    }  # fmt: skip


def _gap_words(token: Mapping[str, str]) -> dict[str, Any]:
    return {
        "xref": "x", "yref": "paper", "y": 0.5, "showarrow": False, "font": {"size": 12, "color": token["muted"]},
    }  # fmt: skip
