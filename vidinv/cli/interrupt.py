"""End a command soon after Ctrl-C, even during a long library call that Python cannot interrupt.

Python raises KeyboardInterrupt, so that the command can clean up. In addition, a thread is notified of the signal and
ends the process if the command does not: a job can be killed at any moment and resumed.
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
GRACE = 1.2  # seconds for cleaning up; a second Ctrl-C ends the process at once
SHOW_CURSOR = "\x1b[?25h"  # which a progress bar hides


@contextmanager
def soon() -> Iterator[None]:
    """Within this context, SIGINT ends the process after at most GRACE seconds. No effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    before = signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(heard,), name="interrupt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        wakeup.close()  # which ends the thread
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
    begin = f"{SHOW_CURSOR}\n" if sys.stderr.isatty() else ""  # starts below the progress bar
    os.write(2, f"{begin}error: {WORDS}\n".encode())
    os._exit(CODE)
