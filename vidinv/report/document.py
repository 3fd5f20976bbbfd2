"""Document: render a page as one HTML file that contains its style, scripts, charts and pictures."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup

from vidinv import fileio
from vidinv.report import text as report_text
from vidinv.terminal import escape_surrogates

ASSETS = resources.files("vidinv") / "assets"
GENERATOR = b'<meta name="generator" content="vidinv">'  # in the head of every page
LIBRARY = "plotly-cartesian.min.js.gz"  # draws the charts: plotly.js with box and line charts, without maps and 3D


def render(
    template: str, *, title: str, figures: dict[str, go.Figure], programs: Sequence[str] = (), **values: Any
) -> str:
    """The HTML of `template` (in vidinv/assets, based on report_base.html.j2) with `figures` drawn where it names them.

    Every value is escaped unless it is Markup. The page's content security policy allows only the scripts that this
    function inserts, among them the `programs` of vidinv/assets, and forbids every request. A page with figures
    contains plotly.js compressed (0.6 MB); report.js unpacks it and adds it as a script, which the policy allows by its
    digest.
    """
    library = (ASSETS / LIBRARY).read_bytes() if figures else b""
    scripts = [_asset("report.js")] if figures else []
    scripts += map(_asset, programs)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.filters |= {"clock": report_text.clock, "number": report_text.number, "span": report_text.span}
    page = environment.get_template(template).render(
        title=title,
        figures={name: json.loads(figure.to_json()) for name, figure in figures.items()},
        style=Markup(_asset("report.css")),
        library=base64.b64encode(library).decode(),
        scripts=[Markup(script) for script in scripts],
        policy=_policy([*scripts, gzip.decompress(library).decode()] if figures else scripts),
        **values,
    )
    return escape_surrogates(page)


def is_page(path: Path) -> bool:
    """Whether `path` is a regular file that begins like a page of `render`. Raises OSError for another file."""
    with fileio.open_regular(path) as file:
        return GENERATOR in file.read(1 << 12)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    sums = [base64.b64encode(bytes.fromhex(fileio.sha256_of_bytes(script))).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{each}'" for each in sums) or "'none'"
    sources = f"script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
