from __future__ import annotations

import threading
import time
import warnings

import pytest

from napari_hovernet._napari.runner import Handlers, QtRunner
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError, JobFailed


@pytest.fixture
def runner(qapp):
    runner = QtRunner()
    yield runner
    runner.close()


class Told:
    """Keeps what a job said, and on which thread."""

    def __init__(self):
        self.said, self.threads = [], set()

    def __call__(self, kind):
        def note(value=None):
            self.threads.add(threading.current_thread())
            self.said.append((kind, value))

        return note

    def handlers(self):
        return Handlers(self("done"), self("failed"), self("progress"), self("cancelled"))

    @property
    def end(self):
        ends = [x for x in self.said if x[0] != "progress"]
        return ends[0] if ends else None


def run(runner, qtbot, steps):
    told = Told()
    job = runner.start("test", steps, told.handlers())
    qtbot.waitUntil(lambda: told.end is not None, timeout=60000)
    return told, job


def test_steps_and_result_arrive_on_the_main_thread(runner, qtbot):
    def steps():
        assert threading.current_thread() is not threading.main_thread()
        yield Progress(1, 2)
        yield Progress(2, 2)
        return "result"

    told, _ = run(runner, qtbot, steps)
    assert [v for k, v in told.said if k == "progress"] == [Progress(1, 2), Progress(2, 2)]
    assert told.end == ("done", "result")
    assert told.threads == {threading.main_thread()} and runner.jobs == ()


def test_runtime_errors_are_not_swallowed(runner, qtbot):
    def steps():
        yield Progress(0, 1)
        raise RuntimeError("CUDA error: an illegal memory access")

    told, _ = run(runner, qtbot, steps)
    kind, error = told.end
    assert kind == "failed" and isinstance(error, JobFailed) and "illegal memory" in str(error)


def test_user_errors_pass_as_they_are(runner, qtbot):
    def steps():
        raise InputError("the image is empty")
        yield

    told, _ = run(runner, qtbot, steps)
    assert isinstance(told.end[1], InputError)


def test_an_error_while_the_generator_is_made_is_told(runner, qtbot):
    told, _ = run(runner, qtbot, lambda: 1 / 0)
    assert told.end[0] == "failed" and "ZeroDivisionError" in str(told.end[1])


def test_cancel_closes_the_generator_at_once(runner, qtbot):
    closed = threading.Event()

    def steps():
        try:
            while True:
                yield Progress(0, 0)
                time.sleep(0.005)
        finally:
            closed.set()

    told = Told()
    job = runner.start("endless", steps, told.handlers())
    qtbot.waitUntil(lambda: len(told.said) > 2, timeout=60000)
    job.cancel()
    qtbot.waitUntil(lambda: told.end is not None, timeout=60000)
    assert told.end == ("cancelled", None) and closed.is_set()


def test_a_result_that_comes_after_cancel_is_dropped(runner, qtbot):
    go = threading.Event()

    def steps():
        yield Progress(0, 1)
        go.wait(3)
        return "late"

    told = Told()
    job = runner.start("late", steps, told.handlers())
    qtbot.waitUntil(lambda: bool(told.said), timeout=60000)
    job.cancel()
    go.set()
    qtbot.waitUntil(lambda: told.end is not None, timeout=60000)
    assert told.end == ("cancelled", None)


def test_close_stops_jobs_and_tells_nobody(runner, qtbot):
    def steps():
        while True:
            yield Progress(0, 0)
            time.sleep(0.005)

    told = Told()
    job = runner.start("endless", steps, told.handlers())
    runner.close()
    assert not job.running
    count = len(told.said)
    qtbot.wait(30)
    assert len(told.said) == count and told.end is None


@pytest.mark.filterwarnings("always")
def test_warnings_of_a_worker_do_not_reach_napari(runner, qtbot, monkeypatch):
    shown = []
    monkeypatch.setattr(warnings, "showwarning", lambda *a, **k: shown.append(a))

    def steps():
        yield Progress(0, 1)
        warnings.warn("from the worker", UserWarning, stacklevel=1)

    run(runner, qtbot, steps)
    assert shown == []
    warnings.warn("from the main thread", UserWarning, stacklevel=1)
    assert len(shown) == 1
