"""Only the newest answer is delivered, whatever the order things happen in."""

from __future__ import annotations

import threading

import pytest

from napari_hovernet._napari.latest import Latest
from napari_hovernet._napari.runner import Handlers, QtRunner
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError

WAIT_MS = 60_000


@pytest.fixture
def runner(qapp):
    runner = QtRunner()
    yield runner
    runner.close()


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


def test_an_answer_arrives(runner, heard, qtbot):
    latest = Latest(runner, "test")
    latest.request(answering(1), handlers(heard))
    assert latest.busy
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert heard == [1]


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


def test_a_cancelled_request_says_so_and_answers_nothing(runner, heard, qtbot):
    latest, gate = Latest(runner, "test"), threading.Event()
    latest.request(held("old", gate), handlers(heard))
    latest.cancel()
    gate.set()
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert heard == ["cancelled"]


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


def test_a_handler_may_ask_again_and_is_not_lost(runner, heard, qtbot):
    latest = Latest(runner, "test")

    def again(value):
        heard.append(value)
        if value < 3:
            latest.request(answering(value + 1), Handlers(again, heard.append))

    latest.request(answering(1), Handlers(again, heard.append))
    qtbot.waitUntil(lambda: not latest.busy, timeout=WAIT_MS)
    assert heard == [1, 2, 3]


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


def test_nothing_is_delivered_once_the_runner_is_closed(runner, heard, qtbot):
    latest, gate = Latest(runner, "test"), threading.Event()
    latest.request(held("late", gate), handlers(heard))
    gate.set()
    runner.close()
    qtbot.wait(50)
    assert heard == []
