"""``napari-hovernet check-loss``: tests of the loss as they were, and as they should be."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import Any

from ..core.loss_checks import LossCheck, check_length, check_loss
from ..errors import InputError
from .console import say

WIDTH = 88
"""Characters of a line of text."""
INDENT = 12
"""Characters in front of what a line is about."""
MAX_SEED = 2**32
"""Seeds lie below."""


def run(options: Namespace) -> int:
    """Run all checks; 0 if the corrected tests pass, 1 if one fails."""
    if not 0 <= options.seed < MAX_SEED:
        raise InputError(f"--seed is {options.seed}; give a whole number from 0 to {MAX_SEED - 1}.")
    five, further = check_loss(options.seed), check_length(options.seed)
    checks = (*five, *further)
    if options.json:
        say(json.dumps(as_json(checks, options.seed), indent=2, allow_nan=False))
    else:
        say(as_text(five, further))
    return 0 if all(check.passed for check in checks) else 1


def as_json(checks: Sequence[LossCheck], seed: int) -> dict[str, Any]:
    """Return checks as plain values; NaN and infinity, which JSON has not, as text."""
    return {
        "passed": all(check.passed for check in checks),
        "seed": seed,
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "claim": check.claim,
                "measured": {name: _plain(value) for name, value in check.measured.items()},
                "why": check.why,
            }
            for check in checks
        ],
    }


def as_text(five: Sequence[LossCheck], further: Sequence[LossCheck]) -> str:
    """Return checks as a page to read, and how many passed at its end."""
    checks = (*five, *further)
    lines = ["Checks of the magnitude loss: as they were, and corrected", ""]
    for index, check in enumerate(checks):
        if index == len(five):
            lines += ["What the length of HV is good for", ""]
        lines += [*_paragraphs(check), ""]
    failed = [check.name for check in checks if not check.passed]
    good = len(checks) - len(failed)
    end = f"{good} of {len(checks)} corrected checks pass"
    return "\n".join([*lines, f"{end}; failed: {', '.join(failed)}." if failed else f"{end}."])


def _paragraphs(check: LossCheck) -> Iterator[str]:
    yield f"{check.name}: {'passes' if check.passed else 'FAILS'}"
    yield _wrapped("claimed", check.claim)
    width = max(map(len, check.measured))
    for index, (name, value) in enumerate(check.measured.items()):
        title = "measured" if not index else ""
        yield f"{f'   {title}':<{INDENT}}{name:<{width}}  {_number(value):>8}"
    yield _wrapped("so", check.why)


def _wrapped(title: str, text: str) -> str:
    first = f"   {title}".ljust(INDENT)
    return fill(text, WIDTH, initial_indent=first, subsequent_indent=" " * INDENT)


def _number(value: float | int | None) -> str:
    if value is None:
        return "None"
    if isinstance(value, int):
        return str(value)
    return f"{value:.5f}" if math.isfinite(value) else str(value)


def _plain(value: float | int | None) -> float | int | str | None:
    return value if value is None or math.isfinite(value) else str(value)
