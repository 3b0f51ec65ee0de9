"""Batches from any step on: what a batch holds depends on its number alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from .dataset import CropDataset, Item


class Stream(Dataset[Item]):
    """All crops of all epochs in one row: number = epoch (from 0) * length + index.

    Loading processes thus need not be told of a new epoch, and a run can begin anywhere.

    Parameters
    ----------
    crops : CropDataset
    epochs : int
    """

    def __init__(self, crops: CropDataset, epochs: int) -> None:
        self.crops, self._epochs = crops, epochs

    def __len__(self) -> int:
        return len(self.crops) * self._epochs

    def __getitem__(self, number: int) -> Item:
        epoch, index = divmod(number, len(self.crops))
        if self.crops.epoch != epoch:
            self.crops.set_epoch(epoch)
        return self.crops[index]


class Steps(Sampler[list[int]]):
    """Numbers of the crops of each batch.

    Parameters
    ----------
    first, last : int
        Steps, half-open.
    batch : int
        Crops per step and process.
    rank, world : int
        This process, and how many there are: each takes its own part of a step.

    Examples
    --------
    >>> list(Steps(1, 3, batch=2))
    [[2, 3], [4, 5]]
    """

    def __init__(self, first: int, last: int, batch: int, rank: int = 0, world: int = 1) -> None:
        self._steps = range(first, last)
        self._batch, self._rank, self._world = batch, rank, world

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            start = (step * self._world + self._rank) * self._batch
            yield list(range(start, start + self._batch))


def loader(stream: Stream, steps: Steps, workers: int, pin: bool) -> DataLoader[Item]:
    """Make the loader of a run; draws nothing from the global random numbers.

    Parameters
    ----------
    stream : Stream
    steps : Steps
    workers : int
        Loading processes; they are spawned, since a fork after threads have started can hang.
    pin : bool
        Whether batches go to a GPU.
    """
    return DataLoader(
        stream,
        batch_sampler=steps,
        num_workers=workers,
        pin_memory=pin,
        generator=torch.Generator(),
        multiprocessing_context="spawn" if workers else None,
    )
