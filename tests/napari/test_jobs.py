"""Jobs in threads: who is told what, on which thread; and connections that end."""

import gc
import threading
import time
import warnings

import pytest
from psygnal import Signal
from qtpy.QtWidgets import QLabel

from napari_hovernet._napari.jobs import Handlers, Latest, QtRunner, bind
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


def test_errors_arrive_and_are_not_swallowed(runner, qtbot):
    def steps():
        yield Progress(0, 1)
        raise RuntimeError("CUDA error: an illegal memory access")

    told, _ = run(runner, qtbot, steps)
    kind, error = told.end
    assert kind == "failed" and isinstance(error, JobFailed) and "illegal memory" in str(error)

    def steps():
        raise InputError("the image is empty")
        yield

    told, _ = run(runner, qtbot, steps)
    assert isinstance(told.end[1], InputError)
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


WAIT_MS = 60_000


@pytest.fixture
def heard():
    return []


def handlers(heard):
    return Handlers(
        heard.append,
        lambda error: heard.append(str(error)),
        cancelled=lambda: heard.append("cancelled"),
    )


def answering(value):
    def steps():
        yield Progress(0, 1)
        return value

    return steps


def held(value, gate, started=None):
    """Steps that wait for a gate between two steps."""

    def steps():
        yield Progress(0, 2)
        if started is not None:
            started.set()
        gate.wait(30)
        yield Progress(1, 2)
        return value

    return steps


def test_of_many_requests_only_the_newest_is_answered(runner, heard, qtbot):
    latest, gate, started = Latest(runner, "test"), threading.Event(), threading.Event()
    ran = []
    latest.request(held("old", gate, started), handlers(heard))
    assert started.wait(30)
    for number in range(20):

        def steps(number=number):
            ran.append(number)
            yield Progress(0, 1)
            return number

        latest.request(steps, handlers(heard))
    assert len(runner.jobs) == 1  # one under way, one waits, no pile of threads
    gate.set()
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert heard == [19] and ran == [19]


def test_a_failure_does_not_keep_the_next_one_from_running(runner, heard, qtbot):
    latest = Latest(runner, "test")

    def failing():
        yield Progress(0, 1)
        raise InputError("no good")

    latest.request(failing, handlers(heard))
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    latest.request(answering(2), handlers(heard))
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert heard == ["no good", 2]


def test_a_handler_that_raises_does_not_stop_the_next_request(runner, heard, qtbot):
    latest, gate, started = Latest(runner, "test"), threading.Event(), threading.Event()

    def steps():
        yield Progress(0, 1)
        started.set()
        gate.wait(30)
        return 1

    def breaks(_value):
        raise KeyError("a fault in a handler")

    with qtbot.captureExceptions() as caught:
        latest.request(steps, Handlers(breaks, heard.append))
        assert started.wait(30)
        gate.set()
        qtbot.waitUntil(lambda: bool(caught), timeout=WAIT_MS)
    latest.request(answering(2), handlers(heard))
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert heard == [2]


class Emitter:
    changed = Signal(str)


def test_a_deleted_widget_is_called_no_more(qtbot):
    emitter, label = Emitter(), QLabel()
    bind(label, emitter.changed, lambda text: label.setText(str(text)))
    emitter.changed.emit("one")
    assert label.text() == "one"
    label.deleteLater()
    qtbot.waitUntil(lambda: len(emitter.changed) == 0, timeout=2000)
    emitter.changed.emit("two")
    emitter, label = Emitter(), QLabel()
    bind(label, emitter.changed, lambda text: label.setText(str(text)))
    emitter.changed.disconnect()
    with qtbot.waitSignal(label.destroyed, timeout=2000):
        label.deleteLater()


def test_no_garbage_is_collected_while_an_answer_is_shown(runner, qtbot):
    def steps():
        yield Progress(0, 1)

    seen = []
    runner.start("test", steps, Handlers(lambda _: seen.append(gc.isenabled()), seen.append))
    qtbot.waitUntil(lambda: bool(seen), timeout=60000)
    assert seen == [False]
    qtbot.waitUntil(gc.isenabled, timeout=60000)


def test_a_deleted_widget_gets_no_answer(runner, qtbot):
    told, label, go = Told(), QLabel(), threading.Event()

    def steps():
        yield Progress(0, 1)
        go.wait(10)
        return "late"

    latest = Latest(runner, "test", label)
    latest.request(steps, told.handlers())
    qtbot.waitUntil(lambda: bool(told.said), timeout=60000)
    with qtbot.waitSignal(label.destroyed, timeout=2000):
        label.deleteLater()
    go.set()
    qtbot.waitUntil(lambda: not latest.busy, timeout=60000)
    assert told.end == ("cancelled", None)
