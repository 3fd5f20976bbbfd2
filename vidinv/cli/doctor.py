"""`vidinv doctor`: say what is installed, what is missing and how to get it, and try a small job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vidinv.cli import json_target, options
from vidinv.terminal import print_table

if TYPE_CHECKING:
    from vidinv.bench.self_check import Finding


def doctor(
    json_to: options.JsonTo = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the small job.")] = False,
    debug: options.Debug = False,
) -> None:
    """Examine this installation: packages, weights, cache, disk, processor, GPU, and a job of a few seconds.

    It uses no network. The exit code is 1 if something is broken; what is only missing is listed with how to get it.

    Example: vidinv doctor
    """
    from vidinv.bench import self_check

    found = self_check.examine()
    if not quick:
        found.append(self_check.try_job())
    if json_to is not None:
        json_target.write_json(self_check.document(found), json_to)
    if json_to != "-":
        _print(found)
    if any(finding.state == "problem" for finding in found):
        raise typer.Exit(1)


def _print(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("what", "state", "details", "what to do", box=None, pad_edge=False)
    for finding in found:
        table.add_row(*map(Text, (finding.name, finding.state, finding.text, finding.remedy)))
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    print_table(table)
