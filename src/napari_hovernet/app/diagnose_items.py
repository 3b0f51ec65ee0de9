"""Data sets as a diagnosis takes them: a thin use of :func:`.core.data.load.open_dataset`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..core.data.items import Dataset
from ..core.data.load import open_dataset
from ..core.diagnosis.case import ItemSource, RawItem


@dataclass(frozen=True, eq=False)
class FileItems:
    """Items of a data set; an :class:`.case.ItemSource`."""

    data: Dataset

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the items."""
        return tuple(item.name for item in self.data)

    @property
    def parts(self) -> frozenset[str]:
        """Arrays that (some of) the items have."""
        return self.data.has

    def read(self, index: int) -> RawItem:
        """Read one item, as it is stored."""
        item = self.data[index]
        made = {"name": item.name, **item.read()}
        return RawItem(**made, group=item.group, split=item.split)


@dataclass(frozen=True, eq=False)
class DataFound:
    """What was found at a place."""

    items: ItemSource
    kind: str = ""  # "maps" or "targets" where it is known, "" = tell by the values of NP
    held_out: ItemSource | None = None  # The other splits, where one was asked for
    n_types: int | None = None
    notes: tuple[str, ...] = ()


def find_items(path: Path, family: str = "", split: str | None = None) -> DataFound:
    """List what there is at a place; of a split, the others are held out, for leaks."""
    data, others = open_dataset(path, family, split), None
    if data.pairs:
        items = sorted(data, key=lambda item: str(item.pair and item.pair.image))
        data = replace(data, items=tuple(items))
    if split is not None:
        data, others = data.divided(split)
    notes = [*data.notes]
    if data.pairs and data.unpaired:
        notes.append(f"{len(data.unpaired)} of {len(data)} images have no labels.")
    held_out = FileItems(others) if others and "image" in others.has else None
    return DataFound(FileItems(data), data.kind, held_out, data.n_types, tuple(notes))
