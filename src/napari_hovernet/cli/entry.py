"""Entry point: parse, run a command, turn every error into one line and an exit status."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from ..errors import OUT_OF_MEMORY, UserError
from . import INTERRUPTED, STOPPED, end_at_once
from .console import complain, say_error
from .parser import build_parser

USER_ERROR, PIPE_CLOSED, TERMINATED = 2, 141, 143
"""Exit statuses: bad input or usage, the reader of the output went away, SIGTERM."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; 0 = done, 1 = some images failed, else as above."""
    if argv is None:
        _stop_cleanly_when_told()
    arguments = with_dashes(sys.argv[1:] if argv is None else argv)
    chosen = next((a for a in arguments if not a.startswith("-")), "")
    options = build_parser(chosen).parse_args(arguments)
    try:
        return int(_imported(options.call)(options))
    except UserError as error:
        if options.debug:
            raise
        say_error(error)
        return USER_ERROR
    except MemoryError:
        if options.debug:
            raise
        complain(f"error: {OUT_OF_MEMORY}")
        return USER_ERROR
    except KeyboardInterrupt:
        complain(STOPPED)
        return INTERRUPTED
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _imported(call: str) -> Callable[[Any], int]:
    """Import what a command runs, "module:function".

    The collector of garbage finds none among modules that are being loaded, nor at the end in those
    that stay: together it looked for 0.6 CPU s.
    """
    module, _, function = call.partition(":")
    gc.disable()
    try:
        found: Callable[[Any], int] = getattr(import_module(module, __package__), function)
    finally:
        gc.enable()
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.freeze()
    atexit.register(gc.freeze)
    return found


def with_dashes(argv: Sequence[str]) -> list[str]:
    """Spell every option with hyphens: ``--image_mpp`` is ``--image-mpp``."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    return [_dashed(a) if i < end and a.startswith("--") else a for i, a in enumerate(argv)]


def _dashed(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def _stop_cleanly_when_told() -> None:
    """Let SIGTERM (a cluster's time limit) unwind, so that temporary files are removed."""

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, stop)
