"""Compile loops by numba, whose machine code is kept between processes where a folder for it can be written."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from numba import config, njit

from vidinv.process import private_folder

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`function`, compiled on its first call; it runs without Python's global lock.

    numba keeps machine code beside the source, in the user's cache folder, or in NUMBA_CACHE_DIR. Where none of them
    can be written (a container with a read-only system and no home), it is kept in `private_folder`, or nowhere. numba
    unpickles what it finds there, so that the folder must be nobody else's.
    """
    settings = vars(config)  # numba fills its module of settings when it is imported
    has_home = os.path.isabs(os.path.expanduser("~"))  # else numba makes a folder named `~` where the user works
    if has_home or settings["CACHE_DIR"]:
        with suppress(RuntimeError):  # "no locator available"
            return cast(Function, njit(cache=True, nogil=True)(function))
    if (folder := private_folder()) is not None:
        settings["CACHE_DIR"] = str(folder / "numba")
        with suppress(RuntimeError):
            return cast(Function, njit(cache=True, nogil=True)(function))
    return cast(Function, njit(nogil=True)(function))
