"""The story of a wrong diagnosis, every number of it measured again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

from .story_blob import blob_rows
from .story_loss import loss_rows
from .story_row import StoryRow
from .story_training import training_rows

__all__ = ["StoryRow", "story_markdown", "story_parts", "story_rows", "story_text"]

WIDTH = 88
"""Characters of a line of text."""
INDENT = 12
SHOWN = 8
"""Numbers of a row that a table shows; the text shows all."""


def story_parts() -> dict[str, tuple[StoryRow, ...]]:
    """Measure the story, by its parts.

    Returns
    -------
    dict of str to tuple of StoryRow
        "loss": what was said of the loss. "training": what the wrong augmentation does to HV
        that is learned. "blob": what else made the blob. Ten to thirty seconds.
    """
    return {"loss": loss_rows(), "training": training_rows(), "blob": blob_rows()}


def story_rows() -> tuple[StoryRow, ...]:
    """Measure the story.

    Returns
    -------
    tuple of StoryRow
        In the order in which it is told; all hold on a sound installation.
    """
    return tuple(row for rows in story_parts().values() for row in rows)


def story_text(rows: Sequence[StoryRow]) -> str:
    """Write rows as a page for the terminal.

    Examples
    --------
    >>> text = story_text([StoryRow("It is so.", "1", {"it": 1.0}, True, "It is.")])
    >>> text.splitlines()[-1]
    '1 of 1 holds.'
    """
    lines = ["What really made the blob: what was said, and what was measured", ""]
    for number, row in enumerate(rows, start=1):
        lines.append(f"{number}. {row.claim}{'' if row.holds else '   DOES NOT HOLD'}")
        lines.append(_wrapped("expected", row.expected))
        width = max(map(len, row.measured), default=0)
        for index, (name, value) in enumerate(row.measured.items()):
            title = "" if index else "measured"
            lines.append(f"{f'   {title}':<{INDENT}}{name:<{width}}  {_number(value):>9}")
        lines += [_wrapped("so", row.words), ""]
    held = sum(row.holds for row in rows)
    return "\n".join([*lines, f"{held} of {len(rows)} hold{'s' if len(rows) == 1 else ''}."])


def story_markdown(rows: Sequence[StoryRow]) -> str:
    """Write rows as a table for the documentation.

    Examples
    --------
    >>> print(story_markdown([StoryRow("It is so.", "1", {"it": 1.0}, True, "It is.")]))
    | what was said | what should come out | measured | so |
    |---|---|---|---|
    | It is so. | 1 | it: 1 | It is. |
    """
    lines = ["| what was said | what should come out | measured | so |", "|---|---|---|---|"]
    for row in rows:
        words = row.words if row.holds else f"**Does not hold here.** {row.words}"
        cells = (row.claim, row.expected, _listed(row.measured), words)
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines)


def _listed(measured: Mapping[str, float]) -> str:
    shown = [f"{name}: {_number(v)}" for name, v in list(measured.items())[:SHOWN]]
    more = len(measured) - len(shown)
    return "<br>".join([*shown, *([f"and {more} more"] if more else [])])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if value and abs(value) < 1e-4:
        return f"{value:.0e}"
    return f"{round(value, 5):g}" if abs(value) < 100 else f"{value:.6g}"


def _wrapped(title: str, text: str) -> str:
    first = f"   {title}".ljust(INDENT)
    return fill(text, WIDTH, initial_indent=first, subsequent_indent=" " * INDENT)
