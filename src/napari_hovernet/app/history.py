"""Undo and redo of whole changes to a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

HISTORY_LIMIT = 12
"""Changes that can be taken back; older ones free their memory."""


@dataclass(frozen=True, eq=False)
class Change(Generic[T]):
    """Items that came and items that went, in one step."""

    added: tuple[T, ...] = ()
    removed: tuple[T, ...] = ()


class History(Generic[T]):
    """A list of items, changed only by steps that can be taken back.

    Examples
    --------
    >>> history = History()
    >>> history.do(Change(added=("a",)))
    >>> _ = history.undo()
    >>> history.items, history.can_redo
    ((), True)
    """

    def __init__(self) -> None:
        self._items: tuple[T, ...] = ()
        self._done: list[tuple[tuple[T, ...], Change[T]]] = []
        self._undone: list[Change[T]] = []

    @property
    def items(self) -> tuple[T, ...]:
        """What is there now."""
        return self._items

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a step taken back can be done again."""
        return bool(self._undone)

    def reachable(self) -> tuple[T, ...]:
        """Return what is there and what an undo or redo could bring back."""
        changes = [change for _, change in self._done] + self._undone
        touched = [item for c in changes for item in (*c.added, *c.removed)]
        return tuple({id(item): item for item in (*self._items, *touched)}.values())

    def do(self, change: Change[T]) -> None:
        """Make a change; what was undone before cannot be redone any more."""
        self._undone.clear()
        self._apply(change)

    def undo(self) -> Change[T] | None:
        """Take the last change back and return it, None if there is none."""
        if not self._done:
            return None
        self._items, change = self._done.pop()
        self._undone.append(change)
        return change

    def redo(self) -> Change[T] | None:
        """Do the change last taken back again and return it, None if there is none."""
        if not self._undone:
            return None
        change = self._undone.pop()
        self._apply(change)
        return change

    def _apply(self, change: Change[T]) -> None:
        self._done.append((self._items, change))
        del self._done[:-HISTORY_LIMIT]
        gone = {id(item) for item in change.removed}
        self._items = (*(i for i in self._items if id(i) not in gone), *change.added)
