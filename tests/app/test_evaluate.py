"""A batch: predictors, a row per image, means per source, reports on disk, magnitude of many."""

import json
import math
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch

import napari_hovernet as nh
from napari_hovernet.app import evaluate
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.pages import magnitude_as_json
from napari_hovernet.app.predictors import FolderPredictor, ModelPredictor, StackPredictor
from napari_hovernet.app.segment import SegmentParams, segment_steps
from napari_hovernet.core.data.load import datasets
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.io.labels import write_label_tiff
from napari_hovernet.core.io.open import read_image, read_labels
from napari_hovernet.core.measure.magnitude import MagnitudeBands
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.types import Model, ModelInfo, Progress
from napari_hovernet.errors import DeviceError, InputError

from ..refusals import refuses

QUICK = evaluate.BatchParams(n_pictures=0)


def run(
    pairs: Any, predictor: Any, params: evaluate.BatchParams | None = None
) -> evaluate.BatchResult:
    return drive(evaluate.evaluate_steps(pairs, predictor, params))


def test_perfect_maps_get_perfect_scores_beside_their_base_rates(pairs, predictor) -> None:
    result = run(pairs, predictor)
    assert [row.name for row in result.rows] == ["x0", "x1", "x2"]
    row = result.rows[0]
    assert (row["n_true"], row["n_pred"], row["n_matched"]) == (8, 8, 8)
    assert row["aji"] == row["oracle_aji"] > 0.97
    assert 0.4 < row["cc_aji"] <= 0.5  # pairs merge
    nuclei = 8 * 18 * 16
    assert row["all_foreground_dice"] == pytest.approx(2 * nuclei / (nuclei + 64 * 96))
    assert row["hv_mse"] == 0 and row["hv_zero_mse"] > 0.2
    assert row["hv_cosine"] == pytest.approx(1)
    assert row["magnitude_inside"] == row["true_magnitude"] > 0.6
    assert row["suspected_blobs"] == 0 and row["seconds"] > 0
    assert (row.verdict, row.split, row.error) == ("healthy", "val", "") and result.failed == ()


def test_means_per_source_and_over_all(pairs: tuple[Pair, ...], predictor: Any) -> None:
    result = run(pairs, predictor, QUICK)
    assert [(group.name, group.n) for group in result.groups] == [("A", 2), ("B", 1), ("all", 3)]
    values = [row["cc_aji"] for row in result.rows]
    mean = result.overall.means["cc_aji"]
    assert mean.mean == pytest.approx(np.mean(values)) and mean.low <= mean.mean <= mean.high
    assert result.overall.counts["n_true"] == 24
    assert math.isnan(result.groups[1].means["aji"].low)  # one image has no interval
    assert run(pairs[:2], predictor, QUICK).groups[0].name == "all"  # one source, one group


def test_pictures_are_kept_for_the_worst_and_no_pairs_refused(pairs, predictor, tmp_path) -> None:
    labels = cv2.imread(str(pairs[1].labels), cv2.IMREAD_UNCHANGED)
    folder = tmp_path / "pred"
    folder.mkdir()
    for pair in pairs:
        own = cv2.imread(str(pair.labels), cv2.IMREAD_UNCHANGED)
        write_label_tiff(folder / f"{pair.name}_labels.tif", own.astype(np.int32))
    write_label_tiff(folder / "x1_labels.tif", (labels // 2).astype(np.int32))
    result = run(pairs, FolderPredictor(folder), evaluate.BatchParams(n_pictures=1))
    assert list(result.pictures) == ["x1"] and result.pictures["x1"].magnitude is None
    shown = run(pairs[:1], predictor).pictures["x0"]
    assert shown.outcomes[1:4] == b"PNG" and shown.magnitude is not None
    assert shown.place == "the whole image"
    refuses("no image with labels", run, [], predictor)
    refuses("n_pictures is -1", evaluate.BatchParams, n_pictures=-1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: cv2.imwrite(str(p.labels), np.ones((10, 12), np.uint16)), "10 x 12 pixels"),
        (lambda p: p.image.write_bytes(p.image.read_bytes()[:300]), "damaged or cut off"),
        (lambda p: p.labels.unlink(), "is not there"),
    ],
)
def test_a_bad_image_is_a_row_and_the_others_go_on(pairs, model, spoil, said) -> None:
    spoil(pairs[1])
    result = run(pairs, ModelPredictor(model), QUICK)
    (bad,) = result.failed
    assert bad.name == "x1" and said in bad.error
    assert "x1" in bad.error and "\n" not in bad.error
    assert result.overall.n == 2 and not any(row.error for row in (result.rows[0], result.rows[2]))


@pytest.fixture(scope="module")
def model() -> Any:
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
    assert any("both empty" in note for note in empty.notes) and math.isnan(empty["hv_mse"])
    assert spaced["n_true"] == 8 and spaced["aji"] == plain["aji"]


def test_labels_that_a_model_made_are_told(pairs: tuple[Pair, ...], predictor: Any) -> None:
    labels = cv2.imread(str(pairs[0].labels), cv2.IMREAD_UNCHANGED).astype(np.int32)
    made = pairs[0].image.with_name("made.tif")
    about: dict[str, Any] = {"model": {"architecture": "compact"}}
    for more, told in (({}, True), ({"corrections": {"added": [1]}}, False)):
        write_label_tiff(made, labels, metadata={**about, **more})
        (row,) = run([replace(pairs[0], labels=made)], predictor, QUICK).rows
        assert any("are they the truth" in note for note in row.notes) is told


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


def test_what_nobody_foresaw_is_a_row_and_a_lost_device_or_ctrl_c_the_end(pairs) -> None:
    result = run(pairs, Breaks(IndexError("list index")), QUICK)
    assert [row.error for row in result.failed] == ["IndexError: list index"] * 3
    assert result.overall.n == 0
    assert "memory" in run(pairs, Breaks(MemoryError()), QUICK).rows[0].error
    for error in (DeviceError("the GPU is gone"), KeyboardInterrupt()):
        broken = Breaks(error)
        with pytest.raises(type(error)):
            run(pairs, broken, QUICK)
        assert broken.closed == 1


def test_the_python_of_the_how_to_runs(root, pairs, tmp_path, monkeypatch, capsys) -> None:
    for folder, kind in (("images", "image"), ("truth", "labels"), ("results", "labels")):
        (tmp_path / folder).mkdir()
        for pair in pairs:
            content = getattr(pair, kind).read_bytes()
            (tmp_path / folder / pair.image.name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    page = (root / "docs" / "how-to" / "batch.md").read_text("utf-8")
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    assert capsys.readouterr().out == "AJI 1.000 (1.000 to 1.000) of 3 images\n"


def measured(
    pairs: Any, predictor: Any, bands: MagnitudeBands | None = None
) -> evaluate.MagnitudeResult:
    return drive(evaluate.magnitude_steps(pairs, predictor, bands))


def test_exact_maps_are_healthy_and_short_ones_collapsed(pairs, predictor, short_predictor) -> None:
    right, short = measured(pairs, predictor), measured(pairs, short_predictor)
    assert (right.verdict, short.verdict) == ("healthy", "collapsed")
    assert short.verdicts == {"collapsed": 3}
    assert right.mean.mean == pytest.approx(50 * short.mean.mean, rel=1e-4)
    assert right.direction.mean == pytest.approx(short.direction.mean, abs=1e-4)
    assert right.direction.mean > 0.99
    for row in right.rows:
        assert (row.inside, row.report.outside.mean) == (evaluate.TRUE, 0)


def test_without_labels_it_is_measured_inside_predicted_nuclei(pairs, predictor) -> None:
    bare, labelled = [replace(pair, labels=None) for pair in pairs], {p.name: p for p in pairs}
    unaware = SimpleNamespace(steps=lambda pair: predictor.steps(labelled[pair.name]))
    unaware.describe = predictor.describe  # the truth is asked for by the labels alone
    found = measured(bare, unaware)
    with_labels = measured(pairs, predictor)
    assert {row.inside for row in found.rows} == {evaluate.PREDICTED}
    assert found.mean.mean == pytest.approx(with_labels.mean.mean, abs=0.02)


def test_errors_are_rows_and_json_is_plain(pairs: tuple[Pair, ...], predictor: Any) -> None:
    pairs[1].image.unlink()
    result = measured(pairs, predictor)
    assert [row.name for row in result.failed] == ["x1"]
    found = json.loads(json.dumps(magnitude_as_json(result), allow_nan=False))
    assert (found["overall"]["images"], found["overall"]["failed"]) == (2, 1)
    assert "is not there" in found["rows"][1]["error"]
    first = found["rows"][0]
    assert (first["verdict"], first["measured_inside"]) == ("healthy", "true nuclei")
    assert first["inside"]["mean"] > 0.6 and "misleading" in found["whole_image_max"]


def test_the_model_gives_what_segment_gives_or_reads_hv_otherwise(pairs, model) -> None:
    found = drive(ModelPredictor(model).steps(pairs[0]))
    plain = drive(segment_steps(model, found.image, SegmentParams()))
    np.testing.assert_array_equal(found.labels, plain.labels)
    np.testing.assert_array_equal(found.mask, plain.separation.mask)
    assert (found.mpp, found.scale) == (None, 1.0)
    tuning = TuneParams(SeparationParams(min_area=1), HVReading(order="vh", scale=2.0))
    plain = drive(ModelPredictor(model).steps(pairs[0]))
    found = drive(ModelPredictor(model, tuning=tuning).steps(pairs[0]))
    np.testing.assert_allclose(found.maps.hv, 2 * plain.maps.hv[::-1], rtol=1e-6)
    assert found.separation.min_area == 1


def test_the_resolution_is_that_of_the_user_the_index_or_the_file(tmp_path, pairs, model) -> None:
    path = tmp_path / "r.tif"
    pixels = np.zeros((40, 40, 3), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", resolution=(2e4, 2e4), resolutionunit=3)
    pair = replace(pairs[0], image=path, mpp=1.0)
    said = InferenceParams(image_mpp=0.25)
    by_file = drive(ModelPredictor(model).steps(pair))
    by_index = drive(ModelPredictor(model, use_mpp=True).steps(pair))
    by_user = drive(ModelPredictor(model, said, use_mpp=True).steps(pair))
    found = [(p.mpp, p.scale) for p in (by_file, by_index, by_user)]
    assert found == [(pytest.approx(0.5), pytest.approx(2.0)), (1.0, 4.0), (0.25, 1.0)]
    without = drive(ModelPredictor(model, use_mpp=True).steps(replace(pair, mpp=None)))
    assert without.mpp == pytest.approx(0.5)
    assert by_file.separation.scales == (0.75, 1.5)  # in pixels of this image
    assert "mpp of the file" in ModelPredictor(model).describe()["resampling"]


@pytest.mark.parametrize("kind", ["PanNuke", "CoNIC", "npz, 0..1"])
def test_images_in_arrays_are_scored_like_files(tmp_path, pairs, model, kind) -> None:
    place = tmp_path / "arrays"
    place.mkdir()
    images = np.stack([read_image(p.image).source.read(0, 40, 0, 40) for p in pairs])
    labels = np.stack([read_labels(p.labels).labels[:40, :40] for p in pairs])
    if kind == "PanNuke":
        masks = np.zeros((*labels.shape, 6))
        masks[..., 2], masks[..., 5] = labels, labels == 0
        for name, array in (("images/fold1/images", images * 1.0), ("masks/fold1/masks", masks)):
            (place / name).parent.mkdir(parents=True)
            np.save(place / f"{name}.npy", array)
        np.save(place / "images/fold1/types.npy", np.array(["Breast"] * len(images)))
    elif kind == "CoNIC":
        np.save(place / "images.npy", images)
        np.save(place / "labels.npy", np.stack([labels, 3 * (labels > 0)], -1).astype(np.uint16))
    else:
        np.savez(place / "x.npz", images=(images / 255).astype(np.float32), inst_maps=labels)
    stacks = StackPredictor(model, data=tuple(datasets(place, need_labels=True)))
    for k, pair in enumerate(stacks.pairs):
        found = drive(stacks.steps(pair))
        np.testing.assert_array_equal(found.truth.labels > 0, labels[k] > 0)
        plain = nh.predict(model, images[k])
        np.testing.assert_allclose(found.maps.np, plain.np, atol=1e-3)
    assert len(run(stacks.pairs, stacks, QUICK).rows) == len(images)


def test_predictions_are_found_by_name_and_refused(tmp_path, pairs, monkeypatch) -> None:
    folder = tmp_path / "pred"
    folder.mkdir()
    np.save(folder / "x0.npy", np.eye(96, dtype=np.int32)[:64])
    np.save(folder / "named_labels.npy", np.zeros((64, 96), np.int32))
    predictor = FolderPredictor(folder)
    found = drive(predictor.steps(pairs[0]))
    assert found.labels.sum() == 64 and found.maps is None
    assert drive(predictor.steps(replace(pairs[1], name="lab/named"))).labels.sum() == 0
    with pytest.raises(InputError, match=r"no prediction for x2\.png; name it .* x2_labels\.tif"):
        drive(predictor.steps(pairs[2]))
    folder = tmp_path / "other"
    folder.mkdir()
    cv2.imwrite(str(folder / "x0.png"), np.zeros((4, 5), np.uint8))
    with pytest.raises(InputError, match=r"x0\.png is 4 x 5 pixels, the image x0\.png 64 x 96"):
        drive(FolderPredictor(folder).steps(pairs[0]))
    monkeypatch.chdir(pairs[0].image.parent)
    refuses("is the true label file", lambda: drive(FolderPredictor(Path()).steps(pairs[0])))
