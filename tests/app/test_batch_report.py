"""Reports on disk: the same numbers in every file, all files or none."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from napari_hovernet.app.evaluate import (
    SCORES,
    BatchParams,
    BatchResult,
    ImageRow,
    evaluate_steps,
    group_rows,
)
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.pages import (
    COLUMNS,
    DataAbout,
    as_csv,
    as_json,
    report_paths,
    write_reports,
)
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.errors import OutputError

ABOUT = DataAbout("data/index.csv", ("u1", "u2"), {"split": "val", "found": 3})


@pytest.fixture
def result(pairs: tuple[Pair, ...], predictor: Any) -> BatchResult:
    pairs[2].image.unlink()
    return drive(evaluate_steps(pairs, predictor, BatchParams(n_pictures=2)))


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_no_column_is_there_twice() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert set(SCORES) <= set(COLUMNS)
    assert all({s.base, s.best} <= {"", *SCORES} for s in SCORES.values())


def test_every_file_tells_the_same(tmp_path: Path, result: BatchResult) -> None:
    files = write_reports(result, tmp_path / "new" / "out", ABOUT)
    assert sorted(os.listdir(tmp_path / "new" / "out")) == [
        "evaluation.csv", "evaluation.html", "evaluation.json",
    ]  # fmt: skip
    found = json.loads(files["json"].read_text("utf-8"))
    lines = table(files["csv"].read_text("utf-8"))
    assert found["schema_version"] == 1
    assert found["data"] == {
        "origin": "data/index.csv", "images": 3, "failed": 1, "unpaired": ["u1", "u2"],
        "split": "val", "found": 3,
    }  # fmt: skip
    assert [row["name"] for row in found["rows"]] == [line["name"] for line in lines]
    for row, line in zip(found["rows"][:2], lines, strict=False):
        assert row["split"] == line["split"] == "val"
        for key in ("n_true", "n_split", "aji", "cc_aji", "hv_mse", "magnitude_inside"):
            assert float(line[key]) == row[key], key
    assert "is not there" in found["rows"][2]["error"]
    assert "is not there" in lines[2]["error"]
    assert lines[2]["aji"] == ""
    overall = found["means"]["all"]
    mean = result.overall.means["aji"]
    assert overall["scores"]["aji"]["mean"] == pytest.approx(mean.mean, rel=1e-5)
    assert (overall["images"], overall["failed"]) == (2, 1)
    assert found["means"]["B"]["scores"]["aji"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert "x0" in files["html"].read_text("utf-8")


def test_what_is_not_defined_is_empty_or_null(result: BatchResult) -> None:
    row = ImageRow("a", "", "", "a.png", "", {"aji": 0.5, "hv_mse": math.nan})
    (line,) = table(as_csv([row]))
    assert (line["aji"], line["hv_mse"], line["mpp"]) == ("0.5", "", "")
    json.dumps(as_json(result, ABOUT), allow_nan=False)


def test_a_name_cannot_be_run_by_a_spreadsheet() -> None:
    row = ImageRow("=cmd()", "+s", "", "x.png", "", {}, notes=("=1", "b"), error="-2")
    (line,) = table(as_csv([row]))
    assert [line[key] for key in ("name", "source", "notes", "error")] == [
        "'=cmd()", "'+s", "'=1; b", "'-2",
    ]  # fmt: skip


def test_only_what_is_asked_for(tmp_path: Path, result: BatchResult) -> None:
    assert list(write_reports(result, tmp_path, ABOUT, ("csv",))) == ["csv"]
    assert not (tmp_path / "evaluation.html").exists()
    with pytest.raises(OutputError, match="Unknown report 'pdf'"):
        write_reports(result, tmp_path, ABOUT, ("pdf",))


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_an_error_or_ctrl_c_leaves_what_was_there(
    tmp_path: Path, result: BatchResult, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    before = write_reports(result, tmp_path / "out", ABOUT)
    texts = {name: path.read_bytes() for name, path in before.items()}
    fsync, written = os.fsync, []

    def fails(handle: int) -> None:
        written.append(handle)
        if len(written) > 1:
            raise kind(errno.ENOSPC, "full") if kind is OSError else kind()
        fsync(handle)

    monkeypatch.setattr("napari_hovernet.core.io.files.os.fsync", fails)
    with pytest.raises(OutputError if kind is OSError else kind):
        write_reports(result, tmp_path / "out", ABOUT)
    assert {name: path.read_bytes() for name, path in before.items()} == texts
    assert len(os.listdir(tmp_path / "out")) == 3


def test_a_folder_in_the_way_leaves_the_others_as_they_were(
    tmp_path: Path, result: BatchResult
) -> None:
    (tmp_path / "evaluation.csv").write_text("mine")
    (tmp_path / "evaluation.html").mkdir()
    (tmp_path / "evaluation.html" / "x").touch()
    with pytest.raises(OutputError):
        write_reports(result, tmp_path, ABOUT)
    assert (tmp_path / "evaluation.csv").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == sorted(
        [*(p.name for p in tmp_path.iterdir() if p.name.startswith("x")), "evaluation.csv",
         "evaluation.html"]
    )  # fmt: skip


def test_an_output_that_is_a_file(tmp_path: Path, result: BatchResult) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="not a folder"):
        write_reports(result, tmp_path / "out", ABOUT)


def test_paths() -> None:
    assert [path.name for path in report_paths("o").values()] == [
        "evaluation.csv", "evaluation.json", "evaluation.html",
    ]  # fmt: skip


def test_groups_without_any_score_are_written() -> None:
    rows = [ImageRow("a", "", "", "a", "", error="bad")]
    result = BatchResult(tuple(rows), group_rows(rows), {}, BatchParams(), {}, 0.1)
    text = json.dumps(as_json(result, DataAbout("d")), allow_nan=False)
    assert json.loads(text)["means"]["all"]["images"] == 0
