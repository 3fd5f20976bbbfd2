"""Ctrl-C ends a command soon, also where it comes during a long call into a library, which Python cannot break off.

The interrupt is Python's own, and lets the command tidy up. Beside it a thread hears of the signal and ends the process
when the command does not: a job is written so that it can be ended at any moment.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CODE = 130
WORDS = "interrupted; the same command continues where it stopped"
GRACE = 1.2  # seconds to tidy up in; a second Ctrl-C ends it at once
SHOW_CURSOR = "\x1b[?25h"  # which a progress bar hides


@contextmanager
def soon() -> Iterator[None]:
    """Within it, SIGINT ends the process after GRACE seconds at the latest. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(heard,), name="interrupt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()  # which ends the thread
        thread.join()


def _watch(heard: socket.socket) -> None:
    with heard:
        while signals := heard.recv(64):
            if signal.SIGINT not in signals:
                continue
            heard.settimeout(GRACE)
            try:
                more = heard.recv(64)
            except TimeoutError:
                _end()
            if signal.SIGINT in more:
                _end()
            return


def _end() -> None:
    begin = f"{SHOW_CURSOR}\n" if sys.stderr.isatty() else ""  # below the bar
    os.write(2, f"{begin}error: {WORDS}\n".encode())
    os._exit(CODE)
