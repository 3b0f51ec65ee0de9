"""The command ``diagnose``: what it finds, says, writes and refuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import engine
from napari_hovernet.core.diagnosis.engine import Check, fault, ok, warn
from napari_hovernet.core.diagnosis.report import Remedy
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.types import Progress


def swapped(bench: Any) -> Iterator[Any]:
    yield Progress(0, 0, "measuring")
    if bench.setup.hv_order == "vh":
        yield ok("cosine 0.95")
    else:
        yield fault("cosine 0.02", title="HV channels are swapped", certainty=0.97,
                    remedy=Remedy("Read HV as [V, H].", "hv_order", "vh"))  # fmt: skip


def touching(bench: Any) -> Iterator[Any]:
    yield warn("2 %", title="Few touch", certainty=0.3, remedy=Remedy("Add images."))


def stopped(bench: Any) -> Iterator[Any]:
    yield Progress(0, 0, "measuring")
    raise KeyboardInterrupt


SWAPPED = Check("model.hv_direction", "Direction of HV", swapped, ("maps",))
TOUCHING = Check("data.labels", "Touching", touching, ("labels",))
LOSS = Check("loss.weights", "Shares", touching, ("loss",))


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """The checks that run; remedies are offered whatever they win."""
    found = [TOUCHING, SWAPPED, LOSS]
    monkeypatch.setattr(engine, "BETTER", -1.0)
    monkeypatch.setattr(
        engine, "all_checks",
        lambda families=(): tuple(c for c in found if not families or c.family in families),
    )  # fmt: skip
    return found


@pytest.fixture
def data(tmp_path: Path, checks: Any) -> Path:
    labels = np.zeros((48, 64), np.int32)
    labels[4:20, 4:20], labels[4:20, 20:36] = 1, 2
    file = tmp_path / "maps.npz"
    np.savez(file, labels=labels, np_pred=labels > 0, hv_pred=hv_targets(labels))
    return file


def test_a_fault_is_status_1_and_told_as_it_comes(run: Any, data: Path) -> None:
    found = run("diagnose", "--data", data)
    assert found.status == 1
    lines = found.out.splitlines()
    assert lines[0] == "Most likely cause: HV channels are swapped (1 more to look at)."
    assert "remedy    Read HV as [V, H]. (--apply model.hv_direction)" in found.out
    assert "Few touch (data.labels, 30% sure)" in found.out and "--all lists them" in found.out
    told = [line for line in found.err.splitlines() if "warn:" in line or "fault:" in line]
    assert told == [
        "napari-hovernet: warn: Few touch: 2 %",
        "napari-hovernet: fault: HV channels are swapped: cosine 0.02",
    ]


def test_a_remedy_is_applied_and_both_are_shown_or_refused(run, data) -> None:
    found = run("diagnose", "--data", data, "--apply", "model.hv_direction", "-q")
    assert found.status == 0
    assert found.out.index("HV channels are swapped") < found.out.index("fault -> ok: cosine 0.95")
    assert found.out.count("1. WARN") == 1
    same = run("diagnose", "--data", data, "--apply", "first", "-q")
    assert same.status == 0
    for name, words in (("data.labels", "outside of the program"), ("x.y", "no such finding")):
        found = run("diagnose", "--data", data, "--apply", name, "-q")
        assert found.status == 2
        assert words in found.err and "can be applied: model.hv_direction" in found.err


def test_ctrl_c_keeps_what_was_found(run, data, checks, tmp_path) -> None:
    checks[:] = [TOUCHING, Check("model.score", "Score", stopped, ("maps",)), SWAPPED]
    page = tmp_path / "out.html"
    found = run("diagnose", "--data", data, "--json", "--report", page, "-q")
    assert found.status == 130
    report = json.loads(found.out)
    assert report["complete"] is False and [f["id"] for f in report["findings"]] == ["data.labels"]
    assert "Stopped before the end" in page.read_text(encoding="utf-8")


def test_code_of_the_users_own(run: Any, data: Path, tmp_path: Path, checks: list[Check]) -> None:
    seen: list[Any] = []

    def look(bench: Any) -> Iterator[Any]:
        seen.append((bench.case.separator.name, bench.case.loss(3), bench.case.augmentation))
        yield ok("b")

    checks[:] = [Check("separation.oracle", "a", look, ("separation", "loss", "augmentation"))]
    (tmp_path / "mine.py").write_text(
        "def cut(np, hv):\n    return (np > 0.5).astype(int)\n"
        "def loss(x):\n    return x + 1\nRULES = {'flip': [[1, 0], [0, 1]]}\n"
    )
    code = tmp_path / "mine.py"
    found = run("diagnose", "--data", data, "--separation", f"{code}:cut", "--loss",
                f"{code}:loss", "--augmentation", f"{code}:RULES", "-q")  # fmt: skip
    assert found.status == 0, found.err
    assert seen == [("cut", 4, {"flip": [[1, 0], [0, 1]]})]
