"""Share what the harnesses of readers need: a file for an input, the errors that a reader may raise, mutated samples.

A harness is a module of this folder with two functions: `make(chance)` makes one input, a damaged real file or one that
follows the format's grammar, and `one(data)` gives it to the reader. `one` returns where the reader accepts the input,
or refuses it as its documentation says; every other exception escapes.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Protocol, cast

from scripts.stress import mutations
from vidinv.errors import VidinvError

REFUSALS = (2, 3, 5)  # exit codes of a file that cannot be used: usage, input, weights
READERS = (
    "pickles",
    "safetensors_files",
    "code_files",
    "report_files",
    "edit_grammar",
    "batch_lists",
    "backend_files",
    "direction_imports",
    "picture_files",
    "name_templates",
)


class Harness(Protocol):
    """A module that fuzzes one reader."""

    def make(self, chance: Random) -> bytes:
        """Make one input."""

    def one(self, data: bytes) -> None:
        """Read one input; an exception that escapes is a fault of the reader."""


def harness_of(reader: str) -> Harness:
    """The harness of one of READERS."""
    return cast(Harness, import_module(f"tests.fuzz.{reader}"))


@cache
def folder() -> Path:
    """The folder of this process for the inputs of readers that open files."""
    made = Path(tempfile.mkdtemp(prefix="vidinv-fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def written(data: bytes, name: str) -> Path:
    """A file of this name that holds `data`."""
    path = folder() / name
    path.write_bytes(data)
    return path


@contextmanager
def refusals(*errors: type[VidinvError]) -> Iterator[None]:
    """Accept that the body ends with one of `errors`, if its exit code is one of REFUSALS and it says something.

    One that was raised because no memory could be allocated is not accepted: a reader refuses such a file before.
    """
    try:
        yield
    except errors as error:
        assert error.exit_code in REFUSALS and error.what.strip(), f"{type(error).__name__}: {error}"
        cause: BaseException | None = error
        while cause := cause.__cause__ or cause.__context__:
            if isinstance(cause, MemoryError) or "allocate" in str(cause):
                raise AssertionError(f"refused when the memory was exhausted: {error}") from error


def mutated(samples: Sequence[bytes], chance: Random) -> bytes:
    """One of the samples, damaged."""
    return mutations.mutated(chance.choice(samples), chance)
