"""Files that version 0.1.0 wrote still open, with the same content; and are written alike.

They lie in ``files/`` and are never renewed: they stand for what users have on their disks.
A format may gain members; what an old file holds must go on to mean the same.
"""

import csv
import json
import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image
from scipy.io import loadmat

import napari_hovernet as nh

Command = Callable[[str], Any]
PLACE = "/tmp/contract"
"""Where the files say that they lie."""
FREE = ("numbers", "places", "value")
"""Members of a finding that differ from check to check."""


@pytest.fixture(scope="module")
def labels(files: Path) -> npt.NDArray[np.int32]:
    found: npt.NDArray[np.int32] = tifffile.imread(files / "pairs" / "labels" / "t3.tif")
    return found.astype(np.int32)


@pytest.fixture(scope="module")
def image(files: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(files / "pairs" / "images" / "t3.png"))


@pytest.fixture(scope="module")
def expected(files: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files / "expected.json").read_text())
    return found


def read(command: Command, path: Path) -> Any:
    """Read a file as napari does: data and features of its only layer."""
    open_file = command("read_results")(str(path))
    assert open_file is not None
    ((data, about, kind),) = open_file(str(path))
    assert kind == "labels"
    return np.asarray(data), about["features"]


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


# --- results --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t3.geojson", "t3.json", "t3.mat"])
def test_exported_nuclei_open_in_the_viewer(command, files, labels, name) -> None:
    data, features = read(command, files / "exports" / name)
    offset = (0, 0) if name.endswith(".mat") else (100, 200)
    inside = data[offset[0] :, offset[1] :]
    assert np.array_equal(inside, labels[: inside.shape[0], : inside.shape[1]])
    assert list(features["index"]) == [1, 2, 3, 4, 5, 6, 7]
    assert list(features["type"]) == [2, 1, 2, 1, 2, 1, 2]
    if name == "t3.mat":
        return
    assert list(features["type_name"][:2]) == ["long", "round"]
    assert np.allclose(features["Type probability"], 1 - np.arange(1, 8) / 20)
    if name == "t3.geojson":
        assert np.allclose(features["HV magnitude mean"], 0.5 + np.arange(1, 8) / 40)
        assert list(features["Area px^2"][:3]) == [996, 849, 589]


@pytest.mark.parametrize("name", ["t3.geojson", "t3.json", "t3.mat", "t3_labels.tif"])
def test_results_of_segment_are_label_files(documented, files, labels, name) -> None:
    found = documented("read_labels")(files / "results" / name, shape=labels.shape)
    assert len(found) == 7
    assert np.array_equal(found.labels, tifffile.imread(files / "results" / "t3_labels.tif"))
    assert nh.evaluate(labels, found.labels).aji > 0.9


def test_a_table_of_features_keeps_its_columns(documented, files) -> None:
    for folder in ("results", "exports"):
        table = documented("read_table")(files / folder / "t3.csv")
        assert list(table["label"]) == [1, 2, 3, 4, 5, 6, 7]
        assert (list(table), len(table)) == (list(rows_of(files / folder / "t3.csv")[0]), 17)
    assert table["type_name"][:2] == ("long", "round")
    assert np.allclose(table["centroid_x_um"], table["centroid_x_px"] * 0.25, rtol=1e-4)


@pytest.fixture(scope="module")
def written(command, files, labels, tmp_path_factory):
    """The same labels and the same layer, written today."""
    folder = tmp_path_factory.mktemp("written")
    layer = json.loads((files / "exports" / "layer.json").read_text())
    writers = {"t3.geojson": "geojson", "t3.json": "json", "t3.mat": "mat", "t3.csv": "csv",
               "t3.tif": "tiff"}  # fmt: skip
    for name, kind in writers.items():
        assert command(f"write_{kind}")(str(folder / name), labels, layer) == [str(folder / name)]
    return folder


@pytest.mark.parametrize("name", ["t3.geojson", "t3.csv"])
def test_the_same_labels_give_the_same_text(written: Path, files: Path, name: str) -> None:
    assert (written / name).read_bytes() == (files / "exports" / name).read_bytes()


def test_the_same_labels_give_the_same_json_and_arrays(written, files) -> None:
    old, new = (json.loads((f / "t3.json").read_text()) for f in (files / "exports", written))
    assert {name: new[name] for name in old} == old
    assert new["type_info"]["1"] == ["round", [255, 0, 0]]
    old, new = (loadmat(folder / "t3.mat") for folder in (files / "exports", written))
    names = {"inst_map", "inst_uid", "inst_type", "inst_centroid"}
    assert names <= set(new) and all(np.array_equal(old[name], new[name]) for name in names)
    old, new = (of_tiff(folder / "t3.tif") for folder in (files / "exports", written))
    assert np.array_equal(old.pop("labels"), new["labels"]) and new["labels"].dtype == np.uint16
    assert old == {name: new[name] for name in old} and old["resolution"] == (40_000, 40_000)


def of_tiff(path: Path) -> dict[str, Any]:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        about = json.loads(page.description)
        return {"labels": page.asarray(), "about": about, "resolution": page.resolution}


# --- models and parameters ------------------------------------------------------------------


def models(files: Path) -> dict[str, Path]:
    return {
        "tiny": files / "models" / "tiny.safetensors",
        "typed": files / "models" / "typed.safetensors",
        "trained": files / "runs" / "first" / "last.safetensors",
    }


@pytest.mark.parametrize("name", ["tiny", "typed", "trained"])
def test_a_checkpoint_predicts_the_same_numbers(files, image, expected, name) -> None:
    model = nh.load_model(models(files)[name], "cpu")
    assert (model.info.mpp, model.info.licence) == (0.25, "CC0-1.0")
    assert len(model.info.types) == (3 if name == "typed" else 0)
    maps = nh.predict(model, image)
    values = [maps.np, *maps.hv, *(() if maps.types is None else maps.types)]
    assert [float(v.mean()) for v in values] == pytest.approx(expected[name]["means"], abs=1e-4)
    at = [[float(v[r, c]) for r, c in expected["sampled"]] for v in values]
    assert np.allclose(at, expected[name]["at"], atol=1e-4)


def test_a_trained_checkpoint_says_how_it_came_about(files: Path) -> None:
    info = nh.load_model(models(files)["trained"], "cpu").info
    assert info.training["start"] == f"{PLACE}/models/tiny.safetensors"
    assert (info.training["loss"]["lambda_hv"], info.training["optim"]["epochs"]) == (2.0, 3)
    assert [row["epoch"] for row in info.history][:2] == [0, 1]
    assert {"loss", "magnitude", "cosine", "aji", "oracle_aji"} <= set(info.history[1]["val"])


def test_tuned_parameters_are_those_that_were_saved(documented, run, files, tmp_path) -> None:
    path = files / "params" / "separation.json"
    tuned = documented("read_params")(path)
    assert isinstance(tuned, nh.TuneParams)
    assert tuned.hv == nh.HVReading(order="vh", sign="inward", scale=0.5)
    assert tuned.separation == nh.SeparationParams(
        np_threshold=0.4, min_area=12, scales=(1.0, 2.5), depth=0.2
    )
    documented("write_params")(tmp_path / "again.json", tuned)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    argv = ("magnitude", files / "pairs" / "images" / "t1.png", "--params", path, "--json", "-q")
    said = run(*argv, "--model", models(files)["tiny"], "--device", "cpu")
    assert json.loads(said.out)["predictor"]["separation"]["depth"] == 0.2


def test_parameters_of_a_loss_are_read_by_the_diagnosis(run: Any, files: Path) -> None:
    for loss in (files / "params" / "loss.json", files / "runs" / "first"):
        argv = ("diagnose", "--loss", loss, "--data", files / "pairs", "--only", "loss", "-q")
        said = run(*argv, "--json")
        assert said.status in (0, 1), said.err
        tested = [f for f in json.loads(said.out)["findings"] if f["verdict"] != "not tested"]
        assert len(tested) >= 3


# --- the token decoder's family --------------------------------------------------------------


@pytest.fixture(scope="module")
def decoder(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decoder") / "best.pth"
    path.write_bytes(lzma.decompress((files / "models" / "optimus.pth.xz").read_bytes()))
    return path


def test_a_family_checkpoint_keeps_its_entries(run: Any, decoder: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    again = tmp_path / "again.pth"
    assert run("export", decoder, again).status == 0
    old, new = (torch.load(path, weights_only=True) for path in (decoder, again))
    assert set(old) <= set(new)
    weights = old["model_state_dict"]
    assert (list(new["model_state_dict"]), len(weights)) == (list(weights), 78)
    assert all(torch.equal(new["model_state_dict"][key], weights[key]) for key in weights)
    for key in ("n_classes", "token_prefix", "hv_convention", "epoch"):
        assert new[key] == old[key]
    about = json.loads(run("info", decoder, "--json").out)
    assert (about["architecture"], about["file_kind"]) == ("optimus", "optimus")
    assert about["config"]["embed_dim"] == 8


def test_cached_features_are_measured_and_scored(run, files, decoder, expected) -> None:
    argv = ("--family", "skin", "--data-dir", files / "family", "--checkpoint", decoder)
    said = run("magnitude", *argv, "--device", "cpu", "--json", "-q")
    assert said.status == 0, said.err
    overall = json.loads(said.out)["overall"]
    for name in ("mean", "direction"):
        assert overall[name]["mean"] == pytest.approx(expected["optimus"][name]["mean"], abs=1e-3)
    true = expected["optimus"]["true_magnitude"]
    assert overall["true_magnitude"] == pytest.approx(true, abs=1e-3)
    said = run("evaluate", *argv, "--device", "cpu", "-q", "--n-samples", 2, "--split", "all")
    assert said.status == 0, said.err
    assert "Tokens before the patches: 5 as the checkpoint says." in said.out
    assert "Samples: 2 of 2 of skin" in said.out


def test_cached_features_open_as_stacks_of_images_and_truth(command: Command, files: Path) -> None:
    path = str(files / "family" / "skin_features.npz")
    (image, about, kind), (truth, _, kind_of_truth) = command("read_results")(path)(path)
    assert (kind, kind_of_truth) == ("image", "labels")
    assert image.shape == (*truth.shape, 3) == (2, 224, 224, 3) and "skin" in about["name"]
    assert truth.max() > 20


# --- data and reports -----------------------------------------------------------------------


def test_corrected_pairs_are_found_with_their_provenance(documented, files) -> None:
    find = documented("find_pairs")
    assert [pair.name for pair in find(files / "pairs", split="train")] == ["t0", "t1", "t2"]
    (pair,) = find(files / "pairs", split="val")
    assert (pair.source, pair.image.name, pair.labels.name) == ("slide 3", "t3.png", "t3.tif")
    record = documented("read_label_tiff")(pair.labels).metadata["corrections"]
    assert (record["added"], record["time_utc"]) == ([1], "2026-01-01T00:00:00+00:00")
    assert record["summary"].startswith("1 nucleus added (")


def test_a_new_pair_joins_those_that_are_there(documented, files, tmp_path, image, labels) -> None:
    shutil.copytree(files / "pairs", tmp_path / "pairs")
    save = documented("save_training_pair")
    save(tmp_path / "pairs", "new", image, labels)
    old, new = ((f / "index.csv").read_text() for f in (files / "pairs", tmp_path / "pairs"))
    assert new.startswith(old)
    assert [pair.name for pair in documented("find_pairs")(tmp_path / "pairs")][-1] == "new"
    with pytest.raises(nh.InputError):
        save(tmp_path / "pairs", "t0", image, labels)


def members(value: Any, path: str = "") -> Iterator[str]:
    """Every member of a report, by its path; lists count as one member."""
    if path.endswith(FREE):
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from members(inner, f"{path}.{name}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from members(inner, f"{path}[]")
    else:
        yield path


def test_a_report_of_scores_has_the_same_members_and_scores(run, files, tmp_path) -> None:
    argv = ("evaluate", files / "pairs", "--pred", files / "predicted", "-o", tmp_path, "-q")
    assert run(*argv, "--no-html").status == 0
    old, new = (
        json.loads((f / "evaluation.json").read_text()) for f in (files / "reports", tmp_path)
    )
    assert set(members(old)) <= set(members(new))
    assert (new["schema"], new["schema_version"]) == ("napari-hovernet/evaluation", 1)
    tables = [rows_of(folder / "evaluation.csv") for folder in (files / "reports", tmp_path)]
    columns = list(tables[0][0])
    assert list(tables[1][0])[: len(columns)] == columns  # new ones stand behind
    for before, after in zip(*tables, strict=True):
        for name in before:
            if name not in ("seconds", "image", "labels", "notes"):
                assert after[name] == before[name], name


def test_a_diagnosis_as_json_has_the_same_members(run: Any, files: Path) -> None:
    argv = ("diagnose", "--data", files / "pairs", "--model", models(files)["tiny"], "--json", "-q")
    new = json.loads(run(*argv, "--device", "cpu", "--n-samples", 1).out)
    old = json.loads((files / "reports" / "diagnosis.json").read_text())
    assert set(members(old)) <= set(members(new))
    assert (new["schema"], new["schema_version"]) == ("napari-hovernet/diagnosis", 1)


def test_comparison_and_blob_check_find_the_same(documented, files, labels, tmp_path) -> None:
    maps = nh.Maps(np=labels > 0, hv=nh.hv_targets(labels))
    wrong = np.where(labels == 2, 1, labels).astype(np.int32)
    found = nh.compare(labels, wrong, maps).as_dict()
    stored = json.loads((files / "reports" / "comparison.json").read_text())
    for name in ("prediction", "connected_components", "oracle", "hv", "outcomes"):
        assert found[name] == pytest.approx(stored[name], abs=1e-6), name
    assert found["all_foreground_dice"] == pytest.approx(stored["all_foreground_dice"])
    first = rows_of(files / "reports" / "comparison.csv")[0]
    assert float(first["aji"]) == pytest.approx(found["prediction"]["aji"], abs=1e-5)
    write = documented("write_blob_table")
    write(tmp_path / "blobs.csv", nh.blob_report(maps, wrong), offset=(100, 200), mpp=0.25)
    assert (tmp_path / "blobs.csv").read_text() == (files / "reports" / "blobs.csv").read_text()


# --- a training run -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of 0.1.0 in a place of their own, with the data and the model they began with."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(files / "runs", folder / "runs")
    config = folder / "runs" / "first" / "config.json"
    config.write_text(config.read_text().replace(PLACE, str(files)))
    return folder / "runs"


def test_a_run_is_listed_and_read(run: Any, runs: Path, tmp_path: Path) -> None:
    (found,) = json.loads(run("runs", "--json", "--runs-dir", runs).out)
    assert (found["name"], found["state"], found["can_resume"]) == ("first", "stopped", True)
    assert (found["epoch"], found["epochs"]) == (1, 3)
    assert found["message"].startswith("Stopped on request after step 14 of 36")
    assert found["val"]["oracle_aji"] > 0.99
    said = run("attach", "first", "--once", "--plot", tmp_path / "a.png", "--runs-dir", runs)
    assert said.status == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["epoch", "0", "1"]
    assert "2,172 parameters" in said.err
    assert "go on with: napari-hovernet train --resume first" in said.err
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_a_run_goes_on_to_the_numbers_it_would_have_come_to(run, runs, expected) -> None:
    """Everything of the run counts: weights, optimiser, random numbers, place in the data."""
    said = run("train", "--resume", "first", "--runs-dir", runs, "--now")
    assert said.status == 0, said.err
    assert "goes on after epoch 1" in said.err and "first: done" in said.err
    lines = (runs / "first" / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    epochs = [event for event in events if event["event"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [0, 1, 2, 3]
    last = {name: epochs[-1]["val"][name] for name in expected["resumed"]}
    assert last == pytest.approx(expected["resumed"], rel=1e-3)
    assert (runs / "first" / "checkpoints" / "epoch_0001.safetensors").is_file()
    (found,) = json.loads(run("runs", "--json", "--runs-dir", runs).out)
    assert (found["state"], found["epoch"]) == ("done", 3)
    about = json.loads(run("info", runs / "first" / "last.safetensors", "--json").out)
    assert [row["epoch"] for row in about["history"]] == [0, 1, 2, 3]
    assert not np.isnan([row["val"]["loss"] for row in about["history"]]).any()
