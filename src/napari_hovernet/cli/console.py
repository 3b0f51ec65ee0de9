"""What the command line says: results to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..core.types import Progress

PROGRAM = "napari-hovernet"
LOG_SECONDS = 30.0
"""Time between two lines of progress where there is no terminal."""
NAME_WIDTH = 28
"""Characters of an image's name in front of its progress bar."""


def say(text: str) -> None:
    """Write one line to stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write one line to stderr, with the program's name."""
    sys.stderr.write(f"{PROGRAM}: {text}\n")
    sys.stderr.flush()


def one_line(error: BaseException) -> str:
    """Text of an error with its line breaks taken out."""
    return " ".join(str(error).split()) or type(error).__name__


def say_error(error: BaseException, about: str = "") -> None:
    """Write one line about an error to stderr."""
    complain(f"error: {about}{': ' if about else ''}{one_line(error)}")


class ProgressBar:
    """Progress of one image on stderr; gone once the image is done.

    Parameters
    ----------
    name : str
        Name of the image.
    quiet : bool
        Show neither bar nor notices.
    live : bool, optional
        Redraw at every step; default where stderr is a terminal. Elsewhere, as in a log
        file, there is a line every ``LOG_SECONDS``.
    unit : str
        What is counted.
    """

    def __init__(
        self, name: str, *, quiet: bool = False, live: bool | None = None, unit: str = "tile"
    ) -> None:
        self._name = name
        self._unit = unit
        self._quiet = quiet
        self._live = sys.stderr.isatty() if live is None else live
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> ProgressBar:
        if not self._quiet:
            from tqdm import tqdm  # noqa: PLC0415 - on first use

            name = self._name
            short = name if len(name) <= NAME_WIDTH else f"...{name[3 - NAME_WIDTH :]}"
            self._bar = tqdm(
                total=0,
                desc=short,
                unit=self._unit,
                leave=False,
                file=sys.stderr,
                mininterval=0.1 if self._live else LOG_SECONDS,
                delay=0.0 if self._live else LOG_SECONDS,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def tell(self, text: str) -> None:
        """Write a line that stays, above the bar; nothing if quiet."""
        if self._bar is None:
            return
        if self._live:
            self._bar.clear()
        complain(text)

    def __call__(self, step: Progress) -> None:
        """Show one step."""
        if self._bar is None:
            return
        if step.notice:
            self.tell(f"note: {self._name}: {step.notice}")
        if step.total and step.total != self._bar.total:
            if self._live:
                self._bar.reset(total=step.total)  # redraws
            self._bar.total = step.total
        self._bar.set_postfix_str(step.message, refresh=False)
        if step.total:
            self._bar.update(step.done - self._bar.n)
        if self._live:
            self._bar.refresh()
