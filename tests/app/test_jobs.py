"""Driving generators of Progress, and steps that can be taken back."""

from collections.abc import Generator

import pytest

from napari_hovernet.app.jobs import JobCancelled, drive
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError, JobFailed

from ..refusals import refuses

closed: list[str] = []


def count(to: int, error: BaseException | None = None) -> Generator[Progress, None, int]:
    closed.clear()
    try:
        for i in range(to):
            yield Progress(i + 1, to)
        if error:
            raise error
        return to
    finally:
        closed.append("closed")


def test_drive_reports_every_step_and_returns_the_result() -> None:
    seen: list[int] = []
    assert (drive(count(3), lambda step: seen.append(step.done)), seen) == (3, [1, 2, 3])
    assert closed == ["closed"]


def test_cancel_and_an_error_of_the_listener_close_the_generator() -> None:
    seen: list[int] = []
    with pytest.raises(JobCancelled, match="nothing was written"):
        drive(count(100), lambda step: seen.append(step.done), lambda: len(seen) == 2)
    assert (seen, closed) == ([1, 2], ["closed"])

    def broken(_: Progress) -> None:
        raise KeyError("bar")

    refuses("KeyError", lambda: drive(count(3), broken), by=JobFailed)
    assert closed == ["closed"]


def test_errors_come_out_with_their_cause_and_remedy() -> None:
    refuses("too small", lambda: drive(count(1, InputError("too small"))))
    with pytest.raises(JobFailed, match="RuntimeError: CUDA error") as caught:
        drive(count(1, RuntimeError("CUDA error\nlong trace")))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "long trace" not in str(caught.value)
    with pytest.raises(JobFailed, match="part of the image or a smaller tile"):
        drive(count(1, MemoryError()))
    with pytest.raises(KeyboardInterrupt):
        drive(count(1, KeyboardInterrupt()))
    assert closed == ["closed"]
