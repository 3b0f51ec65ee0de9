"""Jobs in threads: who is told what, on which thread; and connections that end."""

import gc
import threading
import time
import warnings

import pytest
from psygnal import Signal
from qtpy.QtWidgets import QLabel

from napari_hovernet._napari import jobs as module
from napari_hovernet._napari.jobs import Handlers, Latest, QtRunner, bind
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError, JobFailed

WAIT_MS = 60_000


@pytest.fixture
def runner(qapp):
    runner = QtRunner()
    yield runner
    runner.close()


class Told:
    """Keeps what a job said, and on which thread."""

    def __init__(self):
        self.said, self.threads = [], set()
        self.handlers = Handlers(*map(self.note, ("done", "failed", "progress", "cancelled")))

    def note(self, kind):
        def note(value=None):
            self.threads.add(threading.current_thread())
            self.said.append((kind, value))

        return note

    @property
    def ends(self):
        return [x for x in self.said if x[0] != "progress"]


@pytest.fixture
def told():
    return Told()


def answering(value, ran=None):
    """Steps that give a value, or raise it."""

    def steps():
        yield Progress(0, 1)
        if ran is not None:
            ran.append(value)
        if isinstance(value, Exception):
            raise value
        return value

    return steps


def held(value, gate, started=None):
    """Steps that wait for a gate."""

    def steps():
        yield Progress(0, 1)
        if started is not None:
            started.set()
        gate.wait(30)
        return value

    return steps


def endless(closed):
    def steps():
        try:
            while True:
                yield Progress(0, 0)
                time.sleep(0.005)
        finally:
            closed.set()

    return steps


def run(runner, qtbot, steps):
    told = Told()
    runner.start("test", steps, told.handlers)
    qtbot.waitUntil(lambda: bool(told.ends), timeout=WAIT_MS)
    return told


def test_steps_and_result_arrive_on_the_main_thread(runner, qtbot):
    def steps():
        assert threading.current_thread() is not threading.main_thread()
        yield Progress(1, 2)
        yield Progress(2, 2)
        return "result"

    told = run(runner, qtbot, steps)
    steps = [("progress", Progress(1, 2)), ("progress", Progress(2, 2))]
    assert told.said == [*steps, ("done", "result")]
    assert told.threads == {threading.main_thread()} and runner.jobs == ()


@pytest.mark.parametrize(
    ("steps", "kind", "words"),
    [
        (answering(RuntimeError("CUDA error: an illegal memory")), JobFailed, "illegal memory"),
        (answering(InputError("the image is empty")), InputError, "empty"),
        (lambda: 1 / 0, JobFailed, "ZeroDivisionError"),
    ],
)
def test_errors_arrive_and_are_not_swallowed(runner, qtbot, steps, kind, words):
    ((end, error),) = run(runner, qtbot, steps).ends
    assert end == "failed" and isinstance(error, kind) and words in str(error)


def test_cancel_closes_the_generator_at_once(runner, told, qtbot):
    closed = threading.Event()
    job = runner.start("endless", endless(closed), told.handlers)
    qtbot.waitUntil(lambda: len(told.said) > 2, timeout=WAIT_MS)
    job.cancel()
    qtbot.waitUntil(lambda: bool(told.ends), timeout=WAIT_MS)
    assert told.ends == [("cancelled", None)] and closed.is_set()


def test_a_result_that_comes_after_cancel_is_dropped(runner, told, qtbot):
    go = threading.Event()
    job = runner.start("late", held("late", go), told.handlers)
    qtbot.waitUntil(lambda: bool(told.said), timeout=WAIT_MS)
    job.cancel()
    go.set()
    qtbot.waitUntil(lambda: bool(told.ends), timeout=WAIT_MS)
    assert told.ends == [("cancelled", None)]


def test_close_stops_jobs_and_tells_nobody(runner, told, qtbot):
    job = runner.start("endless", endless(threading.Event()), told.handlers)
    runner.close()
    assert not job.running
    count = len(told.said)
    qtbot.wait(30)
    assert len(told.said) == count and not told.ends


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


def test_of_many_requests_only_the_newest_is_answered(runner, told, qtbot):
    latest, gate, started = Latest(runner, "test"), threading.Event(), threading.Event()
    ran = []
    latest.request(held("old", gate, started), told.handlers)
    assert started.wait(30)
    for number in range(20):
        latest.request(answering(number, ran), told.handlers)
    assert len(runner.jobs) == 1  # one under way, one waits, no pile of threads
    gate.set()
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert told.ends == [("done", 19)] and ran == [19]


def test_a_failure_does_not_keep_the_next_one_from_running(runner, told, qtbot):
    latest, error = Latest(runner, "test"), InputError("no good")
    for value in (error, 2):
        latest.request(answering(value), told.handlers)
        qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert told.ends == [("failed", error), ("done", 2)]


def test_a_handler_that_raises_does_not_stop_the_next_request(runner, told, qtbot):
    latest, gate, started = Latest(runner, "test"), threading.Event(), threading.Event()

    def breaks(_value):
        raise KeyError("a fault in a handler")

    with qtbot.captureExceptions() as caught:
        latest.request(held(1, gate, started), Handlers(breaks, told.note("failed")))
        assert started.wait(30)
        gate.set()
        qtbot.waitUntil(lambda: bool(caught), timeout=WAIT_MS)
    latest.request(answering(2), told.handlers)
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert told.ends == [("done", 2)]


class Emitter:
    changed = Signal(str)


def test_a_deleted_widget_is_called_no_more(qtbot):
    emitter, label = Emitter(), QLabel()
    bind(label, emitter.changed, lambda text: label.setText(str(text)))
    emitter.changed.emit("one")
    assert label.text() == "one"
    label.deleteLater()
    qtbot.waitUntil(lambda: len(emitter.changed) == 0, timeout=WAIT_MS)
    emitter.changed.emit("two")
    emitter, label = Emitter(), QLabel()
    bind(label, emitter.changed, lambda text: label.setText(str(text)))
    emitter.changed.disconnect()
    with qtbot.waitSignal(label.destroyed, timeout=WAIT_MS):
        label.deleteLater()


def test_no_garbage_is_collected_while_an_answer_is_shown(runner, qtbot):
    seen = []
    runner.start("test", answering(1), Handlers(lambda _: seen.append(gc.isenabled()), seen.append))
    qtbot.waitUntil(lambda: bool(seen), timeout=WAIT_MS)
    assert seen == [False]
    qtbot.waitUntil(gc.isenabled, timeout=WAIT_MS)


def test_garbage_is_collected_on_the_main_thread_alone_while_a_job_runs(runner, qtbot, monkeypatch):
    monkeypatch.setattr(module, "COLLECT_MS", 20)
    over, seen_once, threads = threading.Event(), threading.Event(), set()

    def steps():
        for _ in range(20_000):
            circle: list[object] = []
            circle.append(circle)
        seen_once.wait(30)
        yield Progress(1, 1)

    def seen(*_):
        threads.add(threading.get_ident())
        seen_once.set()

    gc.callbacks.append(seen)
    try:
        job = runner.start("test", steps, Handlers(lambda _: over.set(), print))
        qtbot.waitUntil(over.is_set, timeout=WAIT_MS)
    finally:
        gc.callbacks.remove(seen)
    assert threads == {threading.get_ident()} and not job.running
    qtbot.waitUntil(gc.isenabled, timeout=WAIT_MS)


def test_a_deleted_widget_gets_no_answer(runner, told, qtbot):
    label, go = QLabel(), threading.Event()
    latest = Latest(runner, "test", label)
    latest.request(held("late", go), told.handlers)
    qtbot.waitUntil(lambda: bool(told.said), timeout=WAIT_MS)
    with qtbot.waitSignal(label.destroyed, timeout=WAIT_MS):
        label.deleteLater()
    go.set()
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert told.ends == [("cancelled", None)]
