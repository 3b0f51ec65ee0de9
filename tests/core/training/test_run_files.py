"""Commands from a file and from signals."""

import json
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.compare import hv_scores
from napari_hovernet.core.params import OptimParams
from napari_hovernet.core.training.files import EventWriter, RunFolder
from napari_hovernet.core.training.loop import Control
from napari_hovernet.core.training.module import rate
from napari_hovernet.core.training.validation import hv_row, means, remark, score_of
from napari_hovernet.errors import OutputError


def test_what_is_written_is_read_back_with_version_and_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("step", step=1, terms={"np": np.float32(0.5)}, path=Path("a"), seen=(1, 2))
    event = json.loads(path.read_text())
    assert event.pop("t") > 1.6e9
    given = {"step": 1, "terms": {"np": 0.5}, "path": "a", "seen": [1, 2]}
    assert event == {"v": 1, "event": "step", **given}
    path = tmp_path / "other.jsonl"
    with EventWriter(path) as events:
        events.write("step", total=math.nan, terms={"np": math.inf, "hv": np.float32("nan")})
    line = path.read_text()
    assert "NaN" not in line and "Infinity" not in line
    assert json.loads(line)["terms"] == {"np": None, "hv": None}


def test_after_a_crash_one_line_is_lost_at_most(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventWriter(path) as events:
        events.write("step", step=1)
        events.write("step", step=2)
    path.write_bytes(path.read_bytes()[:-7])
    with EventWriter(path) as events:
        events.write("step", step=3)
    first, _, last = path.read_bytes().splitlines()
    assert [json.loads(line)["step"] for line in (first, last)] == [1, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    os.symlink("/dev/full", path)
    with EventWriter(path) as events, pytest.raises(OutputError, match="disk is full"):
        events.write("step", step=1)


def test_sigterm_asks_for_a_stop_and_the_former_handler_comes_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    control = Control(RunFolder(tmp_path / "run"))
    with control.signals():
        os.kill(os.getpid(), signal.SIGTERM)
        assert control.command() == "stop"
        assert signal.getsignal(signal.SIGTERM) == before  # a second one acts as usual
    assert signal.getsignal(signal.SIGTERM) == before


def rates(total: int = 100, **changes: object) -> list[float]:
    optim = OptimParams(lr=2.0, **changes)  # type: ignore[arg-type]
    return [rate(optim, step, total) for step in range(total)]


def test_rates_of_each_schedule() -> None:
    found = rates(schedule="step")
    assert (found[49], found[50], found[99]) == (2.0, pytest.approx(0.2), pytest.approx(0.2))
    found = rates(schedule="cosine")
    assert (found[0], found[50]) == (2.0, pytest.approx(1.0))
    assert 0 < found[99] < 0.001 and found == sorted(found, reverse=True)
    found = rates(schedule="cosine", warmup_steps=4)
    assert (found[:4], found[4]) == (pytest.approx([0.4, 0.8, 1.2, 1.6]), 2.0)
    assert rates(total=2, warmup_steps=9) == pytest.approx([0.2, 0.4])


LABELS = np.zeros((40, 50), np.int32)
LABELS[5:20, 5:20], LABELS[20:35, 15:45] = 1, 2


@pytest.mark.parametrize(
    ("epoch", "magnitude", "word"),
    [
        (0, 0.9, ""), (4, 0.01, ""), (5, 0.26, "go on"), (5, 0.2, ""), (5, 0.09, "investigate"),
        (20, 0.51, "go on"), (20, 0.3, ""), (20, 0.05, "investigate"),
    ],
)  # fmt: skip
def test_remarks_follow_the_bounds(epoch, magnitude, word):
    assert remark(epoch, 20, magnitude) == word


def test_hv_is_scored_as_everywhere_else():
    target = hv_targets(LABELS)
    noise = np.random.default_rng(0).normal(0, 0.3, target.shape).astype(np.float32)
    row, known = hv_row(target + noise, target, LABELS > 0), hv_scores(target + noise, LABELS)
    assert row["pixels"] == (LABELS > 0).sum()
    names = {"hv_mse": "mse", "hv_zero_mse": "zero_mse"}
    for name in ("magnitude", "true_magnitude", "cosine", "hv_mse", "hv_zero_mse"):
        assert row[name] == pytest.approx(getattr(known, names.get(name, name)), rel=1e-5)


def test_means_and_ranks():
    rows = [{"aji": 0.2, "magnitude": 0.1, "pixels": 30.0}, {"aji": 0.6, "magnitude": 0.5,
            "pixels": 10.0}, {"aji": math.nan, "magnitude": math.nan, "pixels": 0.0}]  # fmt: skip
    found = means(rows)
    assert (found["aji"], found["magnitude"]) == (pytest.approx(0.4), pytest.approx(0.2))
    assert score_of({"aji": 0.5, "pq": 0.4, "loss": 1.0}, {}) == pytest.approx(0.9)
    assert score_of({"loss": 1.5}, {"total": 9.0}) == -1.5
    assert (score_of({}, {"total": 9.0}), score_of({}, {})) == (-9.0, -math.inf)
