"""The command ``diagnose``: what it finds, says, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import engine
from napari_hovernet.core.diagnosis.engine import Check, fault, ok, warn
from napari_hovernet.core.diagnosis.report import Remedy
from napari_hovernet.core.diagnosis.story_blob import StoryRow
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.synthetic import tissue
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


def test_quiet_says_nothing_but_the_result(run: Any, data: Path) -> None:
    assert run("diagnose", "--data", data, "-q").err == ""


def test_a_warning_alone_is_status_0(run: Any, data: Path) -> None:
    found = run("diagnose", "--data", data, "--only", "data,loss")
    assert found.status == 0
    assert "Worth a look: Few touch." in found.out and "loss.weights" not in found.out
    assert "model.hv_direction" not in found.out


def test_a_remedy_is_applied_and_both_are_shown(run: Any, data: Path) -> None:
    found = run("diagnose", "--data", data, "--apply", "model.hv_direction", "-q")
    assert found.status == 0
    assert found.out.index("HV channels are swapped") < found.out.index("fault -> ok: cosine 0.95")
    assert found.out.count("1. WARN") == 1
    same = run("diagnose", "--data", data, "--apply", "first", "-q")
    assert same.status == 0


def test_what_cannot_be_applied_is_said(run: Any, data: Path) -> None:
    for name, words in (("data.labels", "outside of the program"), ("x.y", "no such finding")):
        found = run("diagnose", "--data", data, "--apply", name, "-q")
        assert found.status == 2
        assert words in found.err and "can be applied: model.hv_direction" in found.err


def test_json_and_report(run: Any, data: Path, tmp_path: Path) -> None:
    found = run("diagnose", "--data", data, "--json", "-q")
    assert json.loads(found.out)["verdicts"]["fault"] == 1
    page, file = tmp_path / "out.html", tmp_path / "out.json"
    found = run("diagnose", "--data", data, "--json", file, "--report", page)
    assert found.out.startswith("Most likely cause")
    assert json.loads(file.read_text())["findings"][0]["id"] == "model.hv_direction"
    assert "HV channels are swapped" in page.read_text(encoding="utf-8")
    again = run("diagnose", "--data", data, "--report", page)
    assert again.status == 2 and "give --overwrite" in again.err
    assert run("diagnose", "--data", data, "--report", page, "--overwrite", "-q").status == 1
    nowhere = run("diagnose", "--data", data, "--report", tmp_path / "no" / "out.html")
    assert nowhere.status == 2 and "is not there; create it first" in nowhere.err


def test_ctrl_c_keeps_what_was_found(
    run: Any, data: Path, checks: list[Check], tmp_path: Path
) -> None:
    checks[:] = [TOUCHING, Check("model.score", "Score", stopped, ("maps",)), SWAPPED]
    page = tmp_path / "out.html"
    found = run("diagnose", "--data", data, "--json", "--report", page, "-q")
    assert found.status == 130
    report = json.loads(found.out)
    assert report["complete"] is False
    assert [f["id"] for f in report["findings"]] == ["data.labels"]
    assert "Stopped before the end" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "nothing to diagnose; give --data, --model"),
        (("--data", "missing"), "missing is not there"),
        (("--model", "missing.pth"), "missing.pth is not there"),
        (("--loss", "mse"), "loss is 'mse'"),
        (("--separation", "cutter"), "cutter"),
        (("--model", "compact", "--only", "date"), "--only has date"),
        (("--model", "compact", "--n-samples", "0"), "number of samples is 0"),
        (("--model", "compact", "--device", "abacus"), "abacus"),
        (("--separation", "no_such_module:cut"), "cannot be imported"),
    ],
)
def test_errors_are_one_line(run: Any, checks: Any, argv: Any, words: str) -> None:
    found = run("diagnose", *argv, "-q")
    assert found.status == 2
    assert len(found.errors) == 1 and words in found.errors[0]


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


@pytest.mark.parametrize("holds", [True, False])
def test_the_story(run: Any, monkeypatch: pytest.MonkeyPatch, holds: bool) -> None:
    story = ModuleType("story")
    rows = (StoryRow("One is one.", "1", {"one": 1.0, "none": float("nan")}, holds, "So."),)
    story.story_rows = lambda: rows  # type: ignore[attr-defined]
    story.story_text = lambda found: f"{len(found)} rows"  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "napari_hovernet.core.diagnosis.story", story)
    found = run("diagnose", "--story")
    assert (found.status, found.out) == (0 if holds else 1, "1 rows\n")
    found = run("diagnose", "--story", "--json")
    assert json.loads(found.out) == {
        "holds": holds,
        "rows": [{"claim": "One is one.", "expected": "1", "measured": {"one": 1.0, "none": "nan"},
                  "holds": holds, "words": "So."}],
    }  # fmt: skip


def test_swapped_targets_are_found_and_mended_by_the_real_checks(run: Any, tmp_path: Path) -> None:
    labels = np.stack([tissue((128, 128), seed=seed).labels for seed in range(4)])
    hv = np.stack([hv_targets(plane)[::-1] for plane in labels])
    np.savez(tmp_path / "skin_targets.npz", inst_maps=labels, hv_targets=hv,
             np_targets=(labels > 0).astype(np.uint8))  # fmt: skip
    found = run("diagnose", "--data", tmp_path, "--only", "data", "--apply", "first", "--json",
                "-q")  # fmt: skip
    report = json.loads(found.out)
    assert report["before"]["findings"][0]["id"] == "data.hv_convention"
    assert report["setup"] == {"target_order": "vh"}
    assert (found.status, report["verdicts"]["fault"]) == (0, 0)
