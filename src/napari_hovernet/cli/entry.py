"""Entry point: parse, run a command, turn every error into one line and an exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import NoReturn

from ..errors import UserError
from .console import complain, say_error
from .parser import build_parser

OK, SOME_FAILED, USER_ERROR, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
"""Exit statuses: done, some images failed, bad input or usage, Ctrl-C, SIGTERM."""
PIPE_CLOSED = 141
"""Exit status when whoever read the output went away."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line."""
    if argv is None:
        _stop_cleanly_when_told()
    arguments = with_dashes(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments)
    try:
        run = import_module(options.module, __package__).run
        return int(run(options))
    except UserError as error:
        if options.debug:
            raise
        say_error(error)
        return USER_ERROR
    except KeyboardInterrupt:
        complain("interrupted; no half-written file is left.")
        return INTERRUPTED
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def with_dashes(argv: Sequence[str]) -> list[str]:
    """Spell every option with hyphens: ``--image_mpp`` is ``--image-mpp``."""
    spelled: list[str] = []
    for argument in argv:
        if argument.startswith("--") and "--" not in spelled:
            name, equals, value = argument.partition("=")
            spelled.append(name.replace("_", "-") + equals + value)
        else:
            spelled.append(argument)
    return spelled


def _stop_cleanly_when_told() -> None:
    """Let SIGTERM (a cluster's time limit) unwind, so that temporary files are removed."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, stop)
