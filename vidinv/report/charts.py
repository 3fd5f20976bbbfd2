"""Charts: draw a report's charts as plotly figures. The page's style sheet colours their text and grid."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vidinv.report.curves import POINTS, axis_position, curve
from vidinv.report.text import KINDS, SAME_PERSON

COLOURS = {"source": "#80868f", "inversion": "#d07a00", "edit": "#2f81f7"}
GRAVE, LIGHT, GATE, CUT = "#e5484d", "#b8860b", "#c2388f", "#8b6fd0"
GRAVE_KINDS = ("another_person", "low_similarity")
SIMILARITY_PX, ATTRIBUTE_PX, LANE_PX, GAP_PX, MARGIN = 270, 110, 20, 46, {"l": 96, "r": 16, "t": 64, "b": 40}

MARKERS = 300  # points of a curve that is drawn as markers, at most
DOTTED = 100  # points of a line up to which markers are drawn on it as well

Layer = tuple[str, int]  # a row of a track's chart: its title, and its height in pixels


def track_chart(report: dict[str, Any], track: dict[str, Any]) -> go.Figure:
    """The chart of a track over time, in rows that share a time axis.

    The rows are the similarities with the gate, the flags, the edited attributes, and the flicker. The time axis is a
    date axis, see `curves.axis_position`. The page reads out the value of each trace whose `meta` has `say`;
    `layout.meta.flags` holds the spans and texts of the flags.
    """
    flags = [flag for flag in report["flags"] if flag["track"] in (None, track["id"])]
    kinds = [kind for kind in KINDS if any(flag["kind"] == kind for flag in flags)]
    attributes = _attributes(report, track)
    layers = [("Similarity to the source (cosine)", SIMILARITY_PX)]
    layers += [("Flags", LANE_PX * len(kinds) + 10)] if kinds else []
    layers += [(_attribute_title(name, track), ATTRIBUTE_PX) for name in attributes]
    flickers = [name for name in ("flicker_inversion", "flicker_edit") if _measured(track, name)]
    layers += [("Flicker (share of full range)", ATTRIBUTE_PX)] if flickers else []
    figure = _rows(layers, track["per_frame"]["time_s"] or [0.0])
    _similarities(figure, report, track, flags)
    row = 1
    if kinds:
        row += 1
        _lanes(figure, row, flags, kinds)
    for name in attributes:
        row += 1
        for picture in ("source", "edit"):
            _line(figure, row, track, f"{name}_{picture}", f"{name} of {picture}", picture)
    for name in flickers:
        picture = name.removeprefix("flicker_")
        _line(figure, row + 1, track, name, f"flicker of {picture}", picture, digits=4)
    figure.update_layout(meta={"flags": [_flag_meta(flag) for flag in flags]})
    return figure


def consistency_chart(named: Sequence[tuple[str, Sequence[dict[str, Any]]]], *, network: str = "arcface") -> go.Figure:
    """Box plots of the frames' similarity to their track's first frame (Figure 9 of the paper), three for each name.

    The box spans the quartiles, its line is the median and the dashed line the mean (IC); the whiskers reach the lowest
    and the highest frame.
    """
    return box_plot(
        [
            (name, picture, [v for t in tracks for v in t["per_frame"].get(f"{network}_ic_{picture}", [])])
            for name, tracks in named
            for picture in COLOURS
        ],
        "Similarity to the first frame",
    )


def box_plot(groups: Iterable[tuple[str, str, Sequence[float | None]]], title: str) -> go.Figure:
    """One box for each (name, picture, values) with a measured value; boxes of one name are side by side.

    The names are in the order of `groups`.
    """
    figure = go.Figure(layout=_layout(360, boxmode="group"))
    known = [(_escaped(name), picture, [v for v in values if v is not None]) for name, picture, values in groups]
    for picture, colour in COLOURS.items():
        drawn = [(name, values) for name, of, values in known if of == picture and values]
        if not drawn:
            continue
        five = np.array([np.percentile(values, (0, 25, 50, 75, 100)) for _, values in drawn]).round(4)  # [n,5]
        low, q1, middle, q3, high = (column.tolist() for column in five.T)
        means = [round(float(np.mean(values)), 4) for _, values in drawn]
        names = [name for name, _ in drawn]
        box = {"lowerfence": low, "q1": q1, "median": middle, "q3": q3, "upperfence": high, "mean": means}
        figure.add_trace(
            go.Box(x=names, name=picture, marker_color=colour, line_width=1.5, boxmean=True, offsetgroup=picture, **box)
        )
    figure.update_yaxes(title_text=title)
    order = list(dict.fromkeys(name for name, _, values in known if values))
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    return figure


def _layout(height: int, **more: Any) -> dict[str, Any]:
    clear = "rgba(0,0,0,0)"
    legend = {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top", "bgcolor": clear}
    base = {"template": "none", "paper_bgcolor": clear, "plot_bgcolor": clear, "height": height, "margin": MARGIN}
    return base | {"legend": legend, "font": {"size": 12}} | more


def _rows(layers: list[Layer], times: Sequence[float]) -> go.Figure:
    """An empty figure with one row per layer and a shared time axis."""
    inner = sum(height for _, height in layers) + GAP_PX * (len(layers) - 1)
    figure = make_subplots(
        rows=len(layers),
        shared_xaxes=True,
        vertical_spacing=GAP_PX / inner if len(layers) > 1 else 0,
        row_heights=[height for _, height in layers],
        subplot_titles=[title for title, _ in layers],
    )
    figure.update_annotations(x=0, xanchor="left", font_size=13)
    figure.update_layout(_layout(inner + MARGIN["t"] + MARGIN["b"], hovermode="x unified", hoverdistance=40))
    minutes = "%-H:%M" if times[-1] >= 3600 else "%-M"
    stops = [
        {"dtickrange": [None, 999], "value": f"{minutes}:%S.%L"},
        {"dtickrange": [1000, None], "value": f"{minutes}:%S"},
    ]
    spike = {"spikecolor": COLOURS["source"], "spikethickness": 1, "spikedash": "solid"}
    ends = [axis_position(times[0]), axis_position(max(times[-1], times[0] + 0.1))]
    figure.update_xaxes(type="date", range=ends, tickformatstops=stops, hoverformat=f"{minutes}:%S.%2f", **spike)
    figure.update_xaxes(showticklabels=True, ticklabelstandoff=4)
    return figure


def _similarities(
    figure: go.Figure, report: dict[str, Any], track: dict[str, Any], flags: list[dict[str, Any]]
) -> None:
    for picture in ("inversion", "edit"):
        _line(figure, 1, track, f"arcface_{picture}", f"ArcFace {picture}", picture)
    for picture in ("inversion", "edit"):
        _line(figure, 1, track, f"lightcnn_{picture}", f"LightCNN {picture}", picture, mode="markers")
    low = min([0.0, *(y for trace in figure.data for y in trace.y if y is not None)])
    figure.update_yaxes(range=[low, 1.04], row=1, col=1)
    for flag in flags:
        if flag["kind"] in GRAVE_KINDS and len(flags) <= 200:
            x0, x1 = axis_position(flag["from_s"]), axis_position(flag["to_s"])
            figure.add_shape(
                type="rect",
                x0=x0,
                x1=x1,
                y0=low,
                y1=1.04,
                row=1,
                col=1,
                fillcolor=GRAVE,
                opacity=0.15,
                line_width=1,
                line_color=GRAVE,
                layer="below",
            )
    _cut_lines(figure, report["cuts_s"], low)
    _level_line(figure, SAME_PERSON, f"one person is usually above {SAME_PERSON} by ArcFace", COLOURS["source"], "dot")
    gate = report["gate"]
    if gate is not None and gate["min_identity"] is not None:
        _level_line(figure, gate["min_identity"], f"gate {gate['min_identity']:g}", GATE, "dash")


def _cut_lines(figure: go.Figure, times: Sequence[float], low: float) -> None:
    """Draw a vertical line at each cut, all in one trace."""
    if times:
        x = [value for time in times for value in (axis_position(time), axis_position(time), None)]
        line = {"color": CUT, "width": 1, "dash": "dash"}
        trace = go.Scatter(
            x=x, y=[low, 1.04, None] * len(times), mode="lines", name="cuts", line=line, hoverinfo="skip"
        )
        figure.add_trace(trace, 1, 1)


def _level_line(figure: go.Figure, value: float, text: str, colour: str, dash: str) -> None:
    """Draw a horizontal line with a label across the similarities."""
    line = {"color": colour, "width": 1.5, "dash": dash}
    label = {"text": text, "textposition": "end", "yanchor": "bottom", "padding": 1, "font": {"size": 11}}
    across = {"xref": "x domain", "x0": 0, "x1": 1, "y0": value, "y1": value}
    figure.add_shape(type="line", line=line, label=label, layer="below", **across)


def _lanes(figure: go.Figure, row: int, flags: list[dict[str, Any]], kinds: list[str]) -> None:
    """Draw one lane per kind of flag, the most serious on top; a marker keeps a flag of one frame visible."""
    for kind in kinds:
        own = [flag for flag in flags if flag["kind"] == kind]
        x = [value for flag in own for value in (axis_position(flag["from_s"]), axis_position(flag["to_s"]), None)]
        line = {"color": GRAVE if kind in GRAVE_KINDS else LIGHT, "width": 3}
        y = [KINDS[kind]] * len(x)
        marker = {"symbol": "square", "size": 8}
        texts = [text for flag in own for text in (*[_escaped(flag["text"])] * 2, "")]
        trace = go.Scatter(x=x, y=y, mode="lines+markers", line=line, marker=marker, showlegend=False)
        figure.add_trace(trace.update(name=KINDS[kind], text=texts, hovertemplate="%{text}<extra></extra>"), row, 1)
    order = [KINDS[kind] for kind in reversed(kinds)]
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=order, range=[-0.6, len(order) - 0.4], row=row, col=1
    )


def _line(
    figure: go.Figure,
    row: int,
    track: dict[str, Any],
    column: str,
    name: str,
    picture: str,
    *,
    mode: str = "lines",
    digits: int = 2,
) -> None:
    if not _measured(track, column):
        return
    x, y = curve(track["per_frame"]["time_s"], track["per_frame"][column], POINTS if mode == "lines" else MARKERS)
    colour = COLOURS[picture]
    if mode == "lines" and len(x) <= DOTTED:
        mode = "lines+markers"
    look: dict[str, Any] = {"marker_size": 5, "line": {"color": colour, "width": 2 if picture == "edit" else 1.3}}
    if mode == "markers":
        look = {
            "marker": {"color": colour, "size": 6, "symbol": "diamond-open" if picture == "inversion" else "diamond"}
        }
    trace = go.Scatter(x=x, y=y, mode=mode, name=_escaped(name), hovertemplate=f"%{{y:.{digits}f}}", **look)
    figure.add_trace(trace.update(meta={"say": name, "digits": digits}, showlegend=row == 1), row, 1)


def _attributes(report: dict[str, Any], track: dict[str, Any]) -> list[str]:
    """The edited attributes; without an edit, all measured attributes."""
    known = [name for name in track.get("attributes", {}) if _measured(track, f"{name}_edit")]
    edited = [name for name in known if any(edit["name"] == name for edit in report["edits"])]
    return edited if report["edits"] else known


def _attribute_title(name: str, track: dict[str, Any]) -> str:
    unit = track["attributes"][name]["unit"].replace("_", " ")
    return _escaped(f"{name}, before (grey) and after ({unit})")


def _escaped(text: str) -> str:
    """Escape a text for plotly, which interprets tags."""
    return html.escape(text, quote=False)


def _measured(track: dict[str, Any], column: str) -> bool:
    return any(value is not None for value in track["per_frame"].get(column, ()))


def _flag_meta(flag: dict[str, Any]) -> dict[str, Any]:
    return {"from": axis_position(flag["from_s"]), "to": axis_position(flag["to_s"]), "text": flag["text"]}
