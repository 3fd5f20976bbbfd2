"""Print text on the terminal: names that others chose are escaped, and a stream that nobody reads ends no work."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.table import Table

# C0 and C1 control characters but for tab and newline, line separators, marks of writing direction, and surrogates,
# which stand for the bytes of a name that is not UTF-8.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def escape_controls(text: str) -> str:
    r"""Return `text` with its control characters written out: ESC as \x1b, a byte that is not UTF-8 as \xe9.

    Tab and newline are kept.
    """
    return _CONTROLS.sub(lambda found: _written(ord(found[0])), text)


def escape_surrogates(text: str) -> str:
    r"""Return `text` with the bytes of names that are not UTF-8 written out, as in lat\xe9.mp4: it can be encoded."""
    return _SURROGATES.sub(lambda found: _written(ord(found[0])), text)


def print_line(text: object, *, error: bool = False) -> None:
    """Print `text`, escaped by `escape_controls`, and a newline on standard output, or on standard error."""
    write_text(escape_controls(str(text)) + "\n", error=error)


def print_table(table: Table) -> None:
    """Print a table of rich on standard output; control characters in its cells are escaped."""
    from rich.console import Console
    from rich.segment import Segment, Segments

    console = Console()
    parts = [Segment(escape_controls(part.text), part.style) for part in console.render(table)]
    with console.capture() as printed:
        console.print(Segments(parts), end="")
    write_text(printed.get())


def write_text(text: str, *, error: bool = False) -> None:
    """Write `text` as it is on standard output, or on standard error; what its encoding lacks is escaped.

    If nobody reads the stream any more (`| head -1`), the rest is dropped.
    """
    stream = sys.stderr if error else sys.stdout
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _discard(stream)


def open_missing_streams() -> None:
    """Open standard streams that were closed by whoever started the process, so that no file takes their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest free number
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def flush_streams() -> None:
    """Write out what the standard streams hold; what nobody reads is dropped."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            _discard(stream)


def _written(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _discard(stream: TextIO) -> None:
    """Send everything that the stream holds, or is given from now on, to the null device."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
