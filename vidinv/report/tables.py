"""The figures of edits as Markdown tables, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
LEAKS = 3  # of the largest that are shown


def of_edits(table: Row) -> list[str]:
    """Lines of what `report.edits.evaluate` found, and of the papers' protocols beside their own figures."""
    still = table["inversion"]
    lines = [
        f"{table['files']} files, {table['faces']} faces; inverted by: {table.get('method', '')};"
        f" unedited, ArcFace {_number(still.get('id'))}, LightCNN {_number(still.get('id_other'))}",
        "",
        *of_scores(table),
        "",
        *of_people(table),
    ]
    for name, found in table.get("papers", {}).items():
        lines += ["", *of_paper(name, found)]
    return lines


def of_scores(table: Row) -> list[str]:
    """Whether each edit raises what it is named after: by the scorer, by a second network; and a random direction.

    In brackets: files that rise when falls within the scorer's noise are passed over.
    """
    head = ("edit", "scorer at -2, -1, +1, +2", "rises", "second network", "rises", "random rises", "random moves")
    rows = []
    for name, found in table["edits"].items():
        of, second = found["files"], found["second"]
        rows.append(
            (
                name,
                f"{_course(found['scorer']['mean'])} {found['unit']}",
                f"{found['scorer']['rises']} ({found['scorer']['rises_but_for_noise']}) of {of}",
                _course(second["mean"]) if second else "none",
                f"{second['rises']} of {of}" if second else "-",
                f"{found['random']['rises']} of {of}",
                f"{_number(found['random']['moves'])} against {_number(found['moves'])}",
            )
        )
    return markdown(head, rows)


def of_people(table: Row) -> list[str]:
    """How much of the person each edit keeps, and what else it moves."""
    head = ("edit", "ArcFace at -2, -1, +1, +2", "LightCNN", "what else strength 1 moves, in standard deviations")
    rows = []
    for name, found in table["edits"].items():
        known = [(of, value) for of, value in found["leak"].items() if value is not None]
        largest = sorted(known, key=lambda item: -abs(item[1]))[:LEAKS]
        leak = ", ".join(f"{of} {value:+.2f}" for of, value in largest)
        rows.append((name, _course(found["id"]), _course(found["id_other"]), leak))
    return markdown(head, rows)


def of_paper(name: str, found: Row) -> list[str]:
    """A protocol of a paper: the figures here, then its own; of sets alone where a Frechet distance was taken."""
    figures = [key for key in ("psnr", "ssim", "lpips") if any(key in row for row in found["published"].values())]
    distances = [key for key in found if key.startswith("frechet")]
    left = f", without {', '.join(found['left_out'])}" if found["left_out"] else ""
    said = f"{name}: {found['pictures']} pictures, each edit at +1: {', '.join(found['edited_by'])}{left}."
    if not figures and not distances:
        return [f"{said} It takes a Frechet distance: --frechet."]
    rows = [["here", *(_number(found[key]) for key in (*figures, *distances))]]
    for method, row in found["published"].items():
        fid = [f"FID {row['fid']:g}"] * len(distances)
        rows.append([f"published: {method}", *(f"{row[key]:g}" for key in figures), *fid])
    return [said, f"Published figures are of {found['caveat']}.", "", *markdown(("", *figures, *distances), rows)]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table whose columns are as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def _course(means: Mapping[str, float | None]) -> str:
    return ", ".join(_number(value) for value in means.values())


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"
