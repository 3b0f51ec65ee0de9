"""Long work from outside: a generator of :class:`Progress`, driven to its end or cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..core.types import Progress
from ..errors import OUT_OF_MEMORY, JobFailed, UserError, is_out_of_memory, plain

T = TypeVar("T")
Steps = Generator[Progress, None, T]
OnProgress = Callable[[Progress], None]
Cancelled = Callable[[], bool]


class JobCancelled(UserError):  # noqa: N818 - reads as an event in the job's life
    """The job was stopped on request; nothing of it is left."""


def drive(
    steps: Steps[T], on_progress: OnProgress | None = None, cancelled: Cancelled | None = None
) -> T:
    """Run a generator to its end in this thread, close it, and return its result."""
    try:
        while not (cancelled and cancelled()):
            try:
                step = next(steps)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if on_progress:
                on_progress(step)
        raise JobCancelled("Cancelled; nothing was written.")
    except UserError:
        raise
    except Exception as error:
        raise JobFailed(describe_failure(error)) from error
    finally:
        steps.close()


def relayed(steps: Steps[T], change: Callable[[Progress], Progress]) -> Steps[T]:
    """Pass steps on as steps of something larger, each changed; the result is theirs."""
    try:
        while True:
            yield change(next(steps))
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def describe_failure(error: BaseException) -> str:
    """Put an unexpected error into one line: its kind and the first line of its text."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {plain(lines[0])}" if lines else type(error).__name__


class OneThread:
    """A state that may be changed on the thread it was made on alone."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def _on_main_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise TypeError(
                f"{type(self).__name__} was changed from another thread; send the value to the "
                "main thread."
            )


HISTORY_LIMIT = 12
"""Changes that can be taken back; older ones free their memory."""


@dataclass(frozen=True, eq=False)
class Change(Generic[T]):
    """Items that came and items that went, in one step."""

    added: tuple[T, ...] = ()
    removed: tuple[T, ...] = ()


class History(Generic[T]):
    """A list of items, changed only by steps that can be taken back."""

    def __init__(self) -> None:
        self.items: tuple[T, ...] = ()  # What is there now
        self._done: list[tuple[tuple[T, ...], Change[T]]] = []
        self._undone: list[Change[T]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a step taken back can be done again."""
        return bool(self._undone)

    def do(self, change: Change[T]) -> None:
        """Make a change; what was undone before cannot be redone any more."""
        self._undone.clear()
        self._apply(change)

    def undo(self) -> Change[T] | None:
        """Take the last change back and return it, None if there is none."""
        if not self._done:
            return None
        self.items, change = self._done.pop()
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
        self._done.append((self.items, change))
        del self._done[:-HISTORY_LIMIT]
        gone = {id(item) for item in change.removed}
        self.items = (*(i for i in self.items if id(i) not in gone), *change.added)
