"""Pieces of work over several threads."""

from __future__ import annotations

import os
import threading

import pytest

from napari_hovernet.core import types as workers


def test_results_come_in_the_order_of_the_pieces(monkeypatch):
    monkeypatch.setattr(workers, "worker_count", lambda: 3)
    barrier = threading.Barrier(3, timeout=20)

    def work(piece: int) -> tuple[int, int]:
        barrier.wait()
        return piece, threading.get_ident()

    found = workers.spread(work, [5, 1, 4])
    assert [piece for piece, _ in found] == [5, 1, 4]
    assert len({thread for _, thread in found}) == 3


def test_one_piece_stays_in_this_thread():
    assert workers.spread(lambda _: threading.get_ident(), ["only"]) == [threading.get_ident()]
    assert workers.spread(str, []) == []


def test_an_error_comes_out():
    with pytest.raises(ZeroDivisionError):
        workers.spread(lambda x: 1 // x, [1, 0])


def test_workers_are_the_cores_of_this_process():
    assert 1 <= workers.worker_count() <= min(os.cpu_count() or 1, workers.MOST_WORKERS)
