"""What the command line says and is told: results to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.choices import Choice, choices
from ..errors import plain

if TYPE_CHECKING:
    from tqdm import tqdm

    from ..core.types import Model, Progress

T = TypeVar("T")
PROGRAM = "napari-hovernet"
LOG_SECONDS = 30.0
"""Time between two lines of progress where there is no terminal."""
NAME_WIDTH = 28
"""Characters of an image's name in front of its progress bar."""
NOTHING = STDOUT = "-"
"""Where there is no number; ``--json`` without a file."""
MOST, WITHIN = 10_000_000, "\n\t"
"""Characters that are written at a time, and what they may hold beside printable ones."""
SHOWN = 5
"""Names that are shown in a note."""


def say(text: str) -> None:
    """Write one line to stdout."""
    sys.stdout.write(f"{plain(text, MOST, WITHIN)}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write one line to stderr, with the program's name."""
    sys.stderr.write(f"{PROGRAM}: {plain(text, MOST, WITHIN)}\n")
    sys.stderr.flush()


def one_line(error: BaseException) -> str:
    """Text of an error with its line breaks taken out."""
    return " ".join(str(error).split()) or type(error).__name__


def say_error(error: BaseException, about: str = "") -> None:
    """Write one line about an error to stderr."""
    complain(f"error: {about}{': ' if about else ''}{one_line(error)}")


def say_list(head: str, lines: Sequence[str]) -> None:
    """Write a head and the lines below it to stderr."""
    for text in (f"{head}:", *(f"  {line}" for line in lines)):
        complain(text)


def introduction(model: Model) -> str:
    """Say in a line which model runs, where, and under which licence."""
    info = model.info
    name = " ".join(part for part in (info.architecture, info.mode) if part)
    kind = f", {len(info.types)} types" if info.types else ""
    mpp = f", trained at {info.mpp:g} µm per pixel" if info.mpp else ""
    licence = f"; licence of the weights: {info.licence}" if info.licence else ""
    return f"{name}{kind}{mpp}, on {model.device}{licence}"


def number(value: float, digits: int = 3) -> str:
    """Return a number for a table, "-" where it is not defined."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}"


def names_of(names: Sequence[str]) -> str:
    """Return the first names, and that there are more."""
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay a table out; the first line is its head, the first column is to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def add_choice(group: argparse._ActionsContainer, known: Choice) -> None:
    """Add the option of a choice; what is not given is None, so that presets can differ."""
    flag, text, default = f"--{known.option}", help_of(known), known.default
    if known.kind == "switch":
        group.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        return
    more: dict[str, Any] = {"type": int if known.whole else float, "metavar": "N"}
    if known.options and not known.loose:
        more = {"choices": known.options, "type": type(known.options[0])}
    elif isinstance(default, tuple):
        more = {"type": float, "nargs": 2, "metavar": ("LOW", "HIGH")}
    elif isinstance(default, str):
        more = {"metavar": known.option.rpartition("-")[2].upper()}
    group.add_argument(flag, help=text, **more)


def help_of(known: Choice) -> str:
    """Help of an option, with its unit and default."""
    default = known.default
    if isinstance(default, tuple):
        shown = " ".join(map(str, default))
    elif isinstance(default, bool):
        shown = "on" if default else "off"
    elif default is None:
        shown = known.none
    else:
        shown = f"{default:g}" if isinstance(default, float) else str(default) or "none"
    unit = f" [{known.unit}]" if known.unit else ""
    return f"{known.help.rstrip('.')}{unit}; default {shown}".replace("%", "%%")


def params_of(options: argparse.Namespace, start: T) -> T:
    """Return parameters with what was given on the command line in place of ``start``."""
    declared = ((name, c.option.replace("-", "_")) for name, c in choices(type(start)).items())
    given = {name: getattr(options, option) for name, option in declared if option}
    changes = {name: value for name, value in given.items() if value is not None}
    changed: T = replace(start, **changes)  # type: ignore[type-var]
    return changed


class ProgressBar:
    """Progress of one image on stderr; gone once the image is done."""

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

            name, pause = self._name, 0.0 if self._live else LOG_SECONDS
            self._bar = tqdm(
                total=0,
                desc=name if len(name) <= NAME_WIDTH else f"...{name[3 - NAME_WIDTH :]}",
                unit=self._unit,
                leave=False,
                file=sys.stderr,
                mininterval=pause or 0.1,
                delay=pause,
            )
        return self

    def __exit__(self, *_: object) -> None:
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
