"""A batch: a row per image, errors as rows, means per source."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from napari_hovernet.app.evaluate import (
    BatchParams,
    BatchResult,
    FolderPredictor,
    ImageRow,
    ModelPredictor,
    evaluate_steps,
    group_rows,
)
from napari_hovernet.app.jobs import JobCancelled, drive
from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.data.pairs import DataChoice, Pair, find_data, spread
from napari_hovernet.core.io.labels import write_label_tiff
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import DeviceError, InputError

QUICK = BatchParams(n_pictures=0)


def run(pairs: Any, predictor: Any, params: BatchParams | None = None) -> BatchResult:
    return drive(evaluate_steps(pairs, predictor, params))


def test_perfect_maps_get_perfect_scores_beside_their_base_rates(
    pairs: tuple[Pair, ...], predictor: Any
) -> None:
    result = run(pairs, predictor)
    assert [row.name for row in result.rows] == ["x0", "x1", "x2"]
    row = result.rows[0]
    assert (row["n_true"], row["n_pred"], row["n_matched"]) == (8, 8, 8)
    assert row["aji"] == row["oracle_aji"] > 0.97
    assert 0.4 < row["cc_aji"] <= 0.5  # pairs merge
    nuclei = 8 * 18 * 16
    assert row["all_foreground_dice"] == pytest.approx(2 * nuclei / (nuclei + 64 * 96))
    assert row["hv_mse"] == 0
    assert row["hv_zero_mse"] > 0.2
    assert row["hv_cosine"] == pytest.approx(1)
    assert row["magnitude_inside"] == row["true_magnitude"] > 0.6
    assert row["suspected_blobs"] == 0
    assert row["seconds"] > 0
    assert (row.verdict, row.split, row.error) == ("healthy", "val", "")
    assert result.failed == ()


def test_short_hv_is_collapsed_and_separates_all_the_same(
    pairs: tuple[Pair, ...], predictor: Any, short_predictor: Any
) -> None:
    short, right = run(pairs, short_predictor, QUICK), run(pairs, predictor, QUICK)
    for a, b in zip(short.rows, right.rows, strict=True):
        assert a.verdict == "collapsed"
        assert a["magnitude_inside"] == pytest.approx(0.02 * b["magnitude_inside"], rel=1e-4)
        assert a["hv_cosine"] == pytest.approx(b["hv_cosine"], abs=1e-4)
        assert a["aji"] == pytest.approx(b["aji"], abs=0.01)


def test_means_per_source_and_over_all(pairs: tuple[Pair, ...], predictor: Any) -> None:
    result = run(pairs, predictor, QUICK)
    assert [(group.name, group.n) for group in result.groups] == [("A", 2), ("B", 1), ("all", 3)]
    values = [row["cc_aji"] for row in result.rows]
    mean = result.overall.means["cc_aji"]
    assert mean.mean == pytest.approx(np.mean(values))
    assert mean.low <= mean.mean <= mean.high
    assert result.overall.counts["n_true"] == 24
    assert math.isnan(result.groups[1].means["aji"].low)  # one image has no interval
    assert run(pairs[:2], predictor, QUICK).groups[0].name == "all"  # one source, one group


def test_unknown_sources_have_a_group_of_their_own() -> None:
    rows = [
        ImageRow("a", "", "", "", "", {"aji": 0.2}),
        ImageRow("b", "B", "", "", "", {"aji": 1.0}),
    ]
    assert [group.name for group in group_rows(rows)] == ["(no source)", "B", "all"]


def test_failed_images_are_in_no_mean() -> None:
    rows = [ImageRow("a", "", "", "", "", {"aji": 0.4, "n_true": 2}),
            ImageRow("b", "", "", "", "", error="damaged")]  # fmt: skip
    (group,) = group_rows(rows)
    assert (group.n, group.n_failed, group.means["aji"].mean) == (1, 1, 0.4)
    assert group.counts["n_true"] == 2


def test_pictures_are_kept_for_the_worst(
    pairs: tuple[Pair, ...], predictor: Any, tmp_path: Path
) -> None:
    labels = cv2.imread(str(pairs[1].labels), cv2.IMREAD_UNCHANGED)
    folder = tmp_path / "pred"
    folder.mkdir()
    for pair in pairs:
        own = cv2.imread(str(pair.labels), cv2.IMREAD_UNCHANGED)
        write_label_tiff(folder / f"{pair.name}_labels.tif", own.astype(np.int32))
    write_label_tiff(folder / "x1_labels.tif", (labels // 2).astype(np.int32))
    result = run(pairs, FolderPredictor(folder), BatchParams(n_pictures=1))
    assert list(result.pictures) == ["x1"]
    assert result.pictures["x1"].magnitude is None
    shown = run(pairs[:1], predictor).pictures["x0"]
    assert shown.outcomes[1:4] == b"PNG"
    assert shown.magnitude is not None
    assert shown.place == "the whole image"


def test_the_place_of_a_part_is_told(tmp_path: Path, predictor: Any) -> None:
    image, labels = tmp_path / "big.png", tmp_path / "big_lab.png"
    cv2.imwrite(str(image), np.zeros((400, 500, 3), np.uint8))
    cv2.imwrite(str(labels), np.kron(np.eye(10), np.ones((40, 50))).astype(np.uint8))
    shown = run([Pair("big", image, labels)], predictor).pictures["big"]
    assert shown.place.startswith("rows ")


# --- bad input -----------------------------------------------------------------------


def another_size(pair: Pair) -> None:
    cv2.imwrite(str(pair.labels), np.ones((10, 12), np.uint16))


def fractions(pair: Pair) -> None:
    assert pair.labels is not None
    tifffile.imwrite(pair.labels, np.full((64, 96), 0.5, np.float32))


def damaged_labels(pair: Pair) -> None:
    assert pair.labels is not None
    pair.labels.write_bytes(pair.labels.read_bytes()[:60])


def damaged_image(pair: Pair) -> None:
    pair.image.write_bytes(pair.image.read_bytes()[:300])


def nan_image(pair: Pair) -> None:
    pixels = np.full((64, 96, 3), 0.5, np.float32)
    pixels[3, 3] = np.nan
    tifffile.imwrite(pair.image, pixels, photometric="rgb")


def no_image(pair: Pair) -> None:
    pair.image.unlink()


def no_labels(pair: Pair) -> None:
    assert pair.labels is not None
    pair.labels.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (another_size, "10 x 12 pixels"),
        (fractions, "fractions"),
        (damaged_labels, "damaged or cut off"),
        (damaged_image, "damaged or cut off"),
        (nan_image, "NaN"),
        (no_image, "is not there"),
        (no_labels, "is not there"),
    ],
)
def test_a_bad_image_is_a_row_and_the_others_go_on(
    pairs: tuple[Pair, ...], model: Any, spoil: Callable[[Pair], None], said: str
) -> None:
    spoil(pairs[1])
    result = run(pairs, ModelPredictor(model), QUICK)
    (bad,) = result.failed
    assert bad.name == "x1"
    assert said in bad.error
    assert "x1" in bad.error or said == "NaN"
    assert "\n" not in bad.error
    assert result.overall.n == 2
    assert not any(row.error for row in (result.rows[0], result.rows[2]))


@pytest.fixture(scope="module")
def model() -> Any:
    import torch  # noqa: PLC0415 - on first use

    from napari_hovernet.core.networks.compact import CompactUNet  # noqa: PLC0415
    from napari_hovernet.core.types import Model, ModelInfo  # noqa: PLC0415

    torch.manual_seed(0)
    info = ModelInfo("compact", sha256="f00", mpp=0.25)
    return Model(CompactUNet((4, 8)).eval(), info, torch.device("cpu"))


def test_empty_labels_and_ids_with_gaps_are_scored(pairs: tuple[Pair, ...], predictor: Any) -> None:
    cv2.imwrite(str(pairs[0].labels), np.zeros((64, 96), np.uint16))
    gaps = cv2.imread(str(pairs[1].labels), cv2.IMREAD_UNCHANGED)
    plain = run(pairs, predictor, QUICK).rows[1]
    cv2.imwrite(str(pairs[1].labels), (gaps.astype(np.uint16) * 7001))
    empty, spaced, _ = run(pairs, predictor, QUICK).rows
    assert (empty["n_true"], empty["aji"], empty.verdict) == (0, 1, "no nuclei")
    assert any("both empty" in note for note in empty.notes)
    assert math.isnan(empty["hv_mse"])
    assert spaced["n_true"] == 8
    assert spaced["aji"] == plain["aji"]


def test_labels_that_a_model_made_are_told(pairs: tuple[Pair, ...], predictor: Any) -> None:
    labels = cv2.imread(str(pairs[0].labels), cv2.IMREAD_UNCHANGED).astype(np.int32)
    made = pairs[0].image.with_name("made.tif")
    about: dict[str, Any] = {"model": {"architecture": "compact"}}
    for more, told in (({}, True), ({"corrections": {"added": [1]}}, False)):
        write_label_tiff(made, labels, metadata={**about, **more})
        (row,) = run([replace(pairs[0], labels=made)], predictor, QUICK).rows
        assert any("are they the truth" in note for note in row.notes) is told


def test_no_pairs_are_refused(predictor: Any) -> None:
    with pytest.raises(InputError, match="no image with labels"):
        run([], predictor)
    with pytest.raises(InputError, match="n_pictures is -1"):
        BatchParams(n_pictures=-1)


class Breaks:
    """Fails with what it is given."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.closed = error, 0

    def describe(self) -> dict[str, Any]:
        return {}

    def steps(self, pair: Pair) -> Generator[Progress, None, Any]:
        try:
            yield Progress(1, 5, "tile")
            raise self.error
        finally:
            self.closed += 1


def test_what_nobody_foresaw_is_a_row_too(pairs: tuple[Pair, ...]) -> None:
    result = run(pairs, Breaks(IndexError("list index")), QUICK)
    assert [row.error for row in result.failed] == ["IndexError: list index"] * 3
    assert result.overall.n == 0
    assert "memory" in run(pairs, Breaks(MemoryError()), QUICK).rows[0].error


def test_a_lost_device_and_ctrl_c_end_the_batch(pairs: tuple[Pair, ...]) -> None:
    for error in (DeviceError("the GPU is gone"), KeyboardInterrupt()):
        broken = Breaks(error)
        with pytest.raises(type(error)):
            run(pairs, broken, QUICK)
        assert broken.closed == 1


def test_progress_counts_images_and_names_them(
    pairs: tuple[Pair, ...], short_predictor: Any
) -> None:
    seen: list[Progress] = []
    telling = replace(short_predictor, notice="tile halved")
    drive(evaluate_steps(pairs, telling, QUICK), seen.append)
    assert {step.total for step in seen} == {3}
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert seen[0].message == "x0: reading"
    assert seen[0].notice == "x0: tile halved"
    assert any(step.message == "x1: predicted" for step in seen)


def test_a_cancel_stops_between_steps(pairs: tuple[Pair, ...], predictor: Any) -> None:
    seen: list[Progress] = []
    with pytest.raises(JobCancelled):
        drive(evaluate_steps(pairs, predictor, QUICK), seen.append, lambda: len(seen) > 2)
    assert {step.done for step in seen} == {0}


# --- reference -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_scores_of_the_published_separation_are_those_of_the_published_functions(
    shared: Path, tmp_path: Path, kind: str
) -> None:
    expected = json.loads((shared / "golden" / kind / "metrics.json").read_text())
    names = sorted(expected)[::3]
    for folder in ("im", "gt", "pred"):
        (tmp_path / folder).mkdir()
    for name in names:
        with np.load(shared / "golden" / kind / f"{name}.npz") as stored:
            true, pred = stored["labels"], stored["separated"]
        cv2.imwrite(str(tmp_path / "im" / f"{name}.png"), np.zeros((*true.shape, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "gt" / f"{name}.png"), true.astype(np.uint16))
        write_label_tiff(tmp_path / "pred" / f"{name}_labels.tif", pred.astype(np.int32))
    found = find_data(tmp_path / "im", DataChoice(labels=tmp_path / "gt"))
    result = run(found.pairs, FolderPredictor(tmp_path / "pred"), QUICK)
    assert [row.name for row in result.rows] == names
    for row in result.rows:
        for key in ("n_true", "n_pred", "dice", "aji", "aji_plus", "dq", "sq", "pq"):
            assert row[key] == pytest.approx(expected[row.name][key], abs=1e-6), (row.name, key)
        assert row["oracle_aji"] > 0.95
        assert math.isnan(row["magnitude_inside"])


@pytest.mark.slow
def test_the_default_model_on_val_images(shared: Path) -> None:
    found = find_data(shared / "data", DataChoice(split="val", source="dsb18"))
    result = run(spread(found.pairs, 4), ModelPredictor(load_model("compact", "cpu")), QUICK)
    means = result.overall.means
    assert means["cc_aji"].mean < 0.6 < means["aji"].mean
    assert means["oracle_aji"].mean > 0.97
    assert means["hv_cosine"].mean > 0.8
    assert {row.verdict for row in result.rows} == {"healthy"}


def test_the_python_of_the_how_to_runs(
    root: Path,
    pairs: tuple[Pair, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for folder, kind in (("images", "image"), ("truth", "labels"), ("results", "labels")):
        (tmp_path / folder).mkdir()
        for pair in pairs:
            content = getattr(pair, kind).read_bytes()
            (tmp_path / folder / pair.image.name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    page = (root / "docs" / "how-to" / "batch.md").read_text("utf-8")
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    assert capsys.readouterr().out == "AJI 1.000 (1.000 to 1.000) of 3 images\n"
