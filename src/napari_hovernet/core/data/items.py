"""What one place gave: samples, and what there is to say of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

from .samples import Sample

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation")
TEST_NAMES = ("test", "testing")
"""Names of splits, as indices and folders have them; case does not matter."""
SHOWN = 3
"""Names that a message shows."""

_NUMBER_AT_END = re.compile(r"_\d+$")


@dataclass(frozen=True, eq=False)
class Haul:
    """Samples of one or several places."""

    samples: tuple[Sample, ...] = ()
    notes: tuple[str, ...] = ()  # What was assumed or left out on purpose
    problems: tuple[str, ...] = ()  # What could not be used
    faults: tuple[str, ...] = ()  # Those with which training should not start

    def noting(self, *notes: str) -> Haul:
        """Return it with more notes; empty ones are left out."""
        return replace(self, notes=(*self.notes, *(note for note in notes if note)))


def joined(hauls: Iterable[Haul]) -> Haul:
    """Put several together, in their order."""
    hauls = tuple(hauls)
    return Haul(
        tuple(chain.from_iterable(h.samples for h in hauls)),
        tuple(dict.fromkeys(chain.from_iterable(h.notes for h in hauls))),
        tuple(chain.from_iterable(h.problems for h in hauls)),
        tuple(chain.from_iterable(h.faults for h in hauls)),
    )


def split_of(name: str) -> str | None:
    """Return "train", "val" or "" for the name of a split; None for a test split."""
    text = name.strip().lower()
    if text in TEST_NAMES:
        return None
    if text in VAL_NAMES:
        return "val"
    return "train" if text in TRAIN_NAMES else ""


def source_of(name: str) -> str:
    """Return the image that a numbered patch was cut from."""
    return _NUMBER_AT_END.sub("", name) or name


def listed(names: Iterable[str]) -> str:
    """Name the first few of many."""
    names = tuple(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
