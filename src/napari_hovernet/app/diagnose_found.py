"""Items out of files, read one at a time: what all kinds of data have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.diagnosis.case import ItemSource, RawItem


@dataclass(frozen=True)
class About:
    """What is known of an item before it is read.

    Parameters
    ----------
    name, group, split : str
        As in :class:`.case.RawItem`.
    """

    name: str
    group: str = ""
    split: str = ""


@dataclass(frozen=True, eq=False)
class FileItems:
    """Items that a function reads; an :class:`.case.ItemSource`.

    Parameters
    ----------
    about : tuple of About
        One per item.
    parts : frozenset of str
        Arrays that (some of) the items have.
    reader : callable
        Number of an item -> its arrays by name of :data:`.case.PARTS`; "name" where only a
        part of it was read.
    """

    about: tuple[About, ...]
    parts: frozenset[str]
    reader: Callable[[int], dict[str, Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the items."""
        return tuple(a.name for a in self.about)

    def read(self, index: int) -> RawItem:
        """Read one item.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        about = self.about[index]
        made = self.reader(index)
        return RawItem(**{"name": about.name, **made}, group=about.group, split=about.split)

    def only(self, indices: Sequence[int]) -> FileItems:
        """Return some of the items."""
        chosen = tuple(indices)
        return FileItems(
            tuple(self.about[i] for i in chosen), self.parts, lambda k: self.reader(chosen[k])
        )


@dataclass(frozen=True, eq=False)
class DataFound:
    """What was found at a place.

    Parameters
    ----------
    items : ItemSource
    kind : str
        "maps" or "targets" where it is known, "" = tell by the values of NP.
    held_out : ItemSource, optional
        The other splits, where one was asked for.
    n_types : int, optional
        Types there should be, background included.
    notes : tuple of str
        What was left out or assumed.
    """

    items: ItemSource
    kind: str = ""
    held_out: ItemSource | None = None
    n_types: int | None = None
    notes: tuple[str, ...] = ()


def joined(found: Sequence[DataFound]) -> DataFound:
    """Put several places together, in their order."""
    if len(found) == 1:
        return found[0]
    sources = [f.items for f in found if isinstance(f.items, FileItems)]
    places = [(source, i) for source in sources for i in range(len(source.about))]
    kinds = {f.kind for f in found}
    types = {f.n_types for f in found}
    items = FileItems(
        tuple(source.about[i] for source, i in places),
        frozenset().union(*(source.parts for source in sources)),
        lambda k: places[k][0].reader(places[k][1]),
    )
    notes = tuple(dict.fromkeys(_notes(found)))
    kind = kinds.pop() if len(kinds) == 1 else ""
    return DataFound(items, kind, None, types.pop() if len(types) == 1 else None, notes)


def _notes(found: Sequence[DataFound]) -> Iterator[str]:
    for one in found:
        yield from one.notes
