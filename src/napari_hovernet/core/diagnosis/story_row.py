"""One claim of the story, and what came out when it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StoryRow:
    """A claim, tested.

    Parameters
    ----------
    claim : str
        What was said, one sentence.
    expected : str
        What should come out if the row holds, in words and numbers.
    measured : mapping of str to float
        What came out, by what it is.
    holds : bool
        Whether what came out is what was expected.
    words : str
        What it means, one or two sentences.

    Examples
    --------
    >>> StoryRow("One is one.", "1", {"one": 1.0}, True, "It is.").holds
    True
    """

    claim: str
    expected: str
    measured: Mapping[str, float]
    holds: bool
    words: str
