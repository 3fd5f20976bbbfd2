"""Tables: format the figures of evaluated edits as Markdown tables, for the terminal and for documentation pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
LEAKS = 3  # largest leaks that are shown


def edit_tables(table: Row) -> list[str]:
    """The lines of a result of `report.edits.evaluate`, with the papers' protocols and their published figures."""
    inversion = table["inversion"]
    lines = [
        f"{table['files']} files, {table['faces']} faces; inverted by: {table.get('method', '')};"
        f" unedited, ArcFace {_number(inversion.get('id'))}, LightCNN {_number(inversion.get('id_other'))}",
        "",
        *score_table(table),
        "",
        *identity_table(table),
    ]
    for name, found in table.get("papers", {}).items():
        lines += ["", *protocol_table(name, found)]
    return lines


def score_table(table: Row) -> list[str]:
    """Whether each edit raises its own attribute, by the scorer and by a second network, and what a random one does.

    The number in parentheses counts the files that rise when falls within the scorer's noise are ignored.
    """
    head = ("edit", "scorer at -2, -1, +1, +2", "rises", "second network", "rises", "random rises", "random moves")
    rows = []
    for name, found in table["edits"].items():
        of, second = found["files"], found["second"]
        rows.append(
            (
                name,
                f"{_values(found['scorer']['mean'])} {found['unit']}",
                f"{found['scorer']['rises']} ({found['scorer']['rises_but_for_noise']}) of {of}",
                _values(second["mean"]) if second else "none",
                f"{second['rises']} of {of}" if second else "-",
                f"{found['random']['rises']} of {of}",
                f"{_number(found['random']['moves'])} against {_number(found['moves'])}",
            )
        )
    return markdown(head, rows)


def identity_table(table: Row) -> list[str]:
    """How well each edit preserves identity, and which other attributes it changes most."""
    head = ("edit", "ArcFace at -2, -1, +1, +2", "LightCNN", "what else strength 1 moves, in standard deviations")
    rows = []
    for name, found in table["edits"].items():
        known = [(of, value) for of, value in found["leak"].items() if value is not None]
        largest = sorted(known, key=lambda item: -abs(item[1]))[:LEAKS]
        leak = ", ".join(f"{of} {value:+.2f}" for of, value in largest)
        rows.append((name, _values(found["id"]), _values(found["id_other"]), leak))
    return markdown(head, rows)


def protocol_table(name: str, found: Row) -> list[str]:
    """The table of a paper's protocol: the figures measured here, then the paper's own.

    A protocol of Frechet distances alone has a table only where one was computed.
    """
    figures = [key for key in ("psnr", "ssim", "lpips") if any(key in row for row in found["published"].values())]
    distances = [key for key in found if key.startswith("frechet")]
    left = f", without {', '.join(found['left_out'])}" if found["left_out"] else ""
    intro = f"{name}: {found['pictures']} pictures, each edit at +1: {', '.join(found['edited_by'])}{left}."
    if not figures and not distances:
        return [f"{intro} The protocol needs a Frechet distance: give --frechet."]
    rows = [["here", *(_number(found[key]) for key in (*figures, *distances))]]
    for method, row in found["published"].items():
        fid = [f"FID {row['fid']:g}"] * len(distances)
        rows.append([f"published: {method}", *(f"{row[key]:g}" for key in figures), *fid])
    return [intro, f"Published figures are of {found['caveat']}.", "", *markdown(("", *figures, *distances), rows)]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table whose columns are as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def _values(means: Mapping[str, float | None]) -> str:
    return ", ".join(_number(value) for value in means.values())


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"
