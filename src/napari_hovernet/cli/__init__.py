"""The command line ``napari-hovernet``; ``--help`` loads neither torch nor napari."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
STOPPED = "interrupted; no half-written file is left."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; see `parser.main`."""
    if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)  # until all is imported nothing is to clean up
    from .parser import main as run  # noqa: PLC0415 - Ctrl-C may come while it is imported

    return run(argv)


def end_at_once(_signal: int, _frame: object) -> None:
    """End in one line; an exception in the midst of an import is a traceback of many."""
    os.write(2, f"napari-hovernet: {STOPPED}\n".encode())
    os._exit(INTERRUPTED)
