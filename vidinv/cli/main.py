"""Run the command line: one typer app, and `main`, which turns errors into one line and an exit code."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Annotated, Any

import typer

from vidinv import terminal
from vidinv.cli import (
    autoencoder,
    backend,
    batch,
    bench,
    demo,
    directions,
    doctor,
    edit,
    evaluate,
    inspect,
    interrupt,
    invert,
    mix,
    report,
    run,
    train,
    tune,
    weights,
)
from vidinv.exit_codes import exit_code_and_message
from vidinv.memory import check_address_space
from vidinv.process import tune_process

COMPUTING = (
    *("run", "batch", "edit", "invert", "inspect", "mix", "interpolate", "tune", "demo", "bench"),
    *("autoencoder", "evaluate", "train"),
)  # commands that load networks, or the libraries of networks
UNREAD = 141  # what a shell shows for a program that wrote to a closed pipe
# click's UsageError, from typer's own copy of click or from the package
REFUSED: type[typer.BadParameter] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    help="Edit the face in a video by GAN inversion and keep everything else untouched.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("batch")(batch.batch)
app.command("edit")(edit.edit)
app.command("invert")(invert.invert)
app.command("inspect")(inspect.inspect)
app.command("mix")(mix.mix)
app.command("interpolate")(mix.interpolate)
app.command("report")(report.report)
app.command("tune")(tune.tune)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.add_typer(autoencoder.app, name="autoencoder")
app.add_typer(backend.app, name="backend")
app.add_typer(directions.app, name="directions")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(train.app, name="train")
app.add_typer(weights.app, name="weights")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Edit the face in a video by GAN inversion and keep everything else untouched."""
    if version:
        terminal.print_line(f"vidinv {metadata.version('vidinv')}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors become one line on standard error.

    `--debug` anywhere adds the traceback.
    """
    given = sys.argv[1:] if arguments is None else arguments
    terminal.open_missing_streams()
    tune_process()
    with _escaped_warnings():
        code = _run(given)
    terminal.flush_streams()
    return code


def _run(given: list[str]) -> int:
    try:
        with interrupt.soon():
            if given and given[0] in COMPUTING and "--help" not in given:
                check_address_space()
            code = typer.main.get_command(app).main(args=given, prog_name="vidinv", standalone_mode=False)
        if code == interrupt.CODE:  # typer caught the interruption without printing anything
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except REFUSED as error:
        return _report(error, error.format_message() or "no command given; see vidinv --help", 2, given)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _report(error, interrupt.WORDS, interrupt.CODE, given)
    except SystemExit:  # click and rich end so when nobody reads what they print
        return UNREAD
    except Exception as error:
        code, line = exit_code_and_message(error)
        return _report(error, line, code, given)


def _report(error: BaseException, line: str, code: int, given: list[str]) -> int:
    if "--debug" in given:
        terminal.print_line("".join(traceback.format_exception(error)).rstrip(), error=True)
    terminal.print_line(f"error: {' '.join(line.split())}", error=True)
    return code


@contextmanager
def _escaped_warnings() -> Iterator[None]:
    """Within this context, the text of warnings is escaped as that of errors is."""
    plain = warnings.formatwarning

    def escaped(*message: Any, **given: Any) -> str:
        return terminal.escape_controls(plain(*message, **given))

    warnings.formatwarning = escaped
    try:
        yield
    finally:
        warnings.formatwarning = plain
