"""How the files beside this script were made: by version 0.1.0, from generated tissue alone.

They stand for what users have on their disks, so they are never made anew: later versions
have to open them. The script is kept as a record and runs with the version that made them::

    git checkout 36a39ae -- src && python tests/contract/files/make_files.py
"""

from __future__ import annotations

import json
import lzma
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import napari_hovernet as nh
from napari_hovernet._napari import writers
from napari_hovernet.app.corrections import Corrections
from napari_hovernet.app.runs import RunStore
from napari_hovernet.app.training_data import PairAbout, save_training_pair
from napari_hovernet.core.io.blob_table import write_blob_table
from napari_hovernet.core.io.comparison_file import write_comparison_csv, write_comparison_json
from napari_hovernet.core.io.label_tiff import write_label_tiff
from napari_hovernet.core.io.params_file import write_params
from napari_hovernet.core.label_changes import label_changes
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.synthetic.token_family import TokenFamilyParams, write_token_family
from napari_hovernet.core.training.params import LossParams
from napari_hovernet.core.typesets import numbered

HERE = Path(__file__).resolve().parent
PLACE = Path("/tmp/contract")
"""Where everything is made; its name gets into files, so it tells nothing of anybody."""
EDGE, MPP, IMAGES = 96, 0.25, 4
SAMPLED = ((10, 10), (40, 60), (80, 30))
"""Pixels whose predicted values are kept."""

Labels = dict[str, Any]


def main() -> None:
    """Make everything, and put it beside this script."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    labels = pairs()
    models()
    predicted(labels)
    exports(labels)
    parameters()
    tables(labels)
    family()
    cli("segment", "pairs/images/t3.png", "-o", "results", "--device", "cpu")
    cli("evaluate", "pairs", "--pred", "predicted", "-o", "reports", "--no-html")
    cli("diagnose", "--data", "pairs", "--model", "models/tiny.safetensors", "--loss", "default",
        "--augmentation", "ours", "--device", "cpu", "--json", "reports/diagnosis.json",
        may_fail=True)  # fmt: skip
    run()
    expected()
    for made in PLACE.iterdir():
        if made.is_dir():
            shutil.rmtree(HERE / made.name, ignore_errors=True)
            shutil.copytree(made, HERE / made.name)
        else:
            shutil.copy(made, HERE)


def cli(*argv: str, may_fail: bool = False) -> str:
    """Run a command line in the place where everything is made; return what it printed."""
    command = [sys.executable, "-m", "napari_hovernet", *argv]
    done = subprocess.run(command, cwd=PLACE, check=False, capture_output=True, text=True)
    if done.returncode and not may_fail:
        raise SystemExit(done.stderr)
    return done.stdout


def pairs() -> Labels:
    """Corrected training pairs, their provenance in the label files."""
    found = {}
    for i in range(IMAGES):
        made = tissue((EDGE, EDGE), seed=i)
        before = np.where(made.labels == 1, 0, made.labels)
        record = Corrections(label_changes(before, made.labels), "2026-01-01T00:00:00+00:00")
        about = PairAbout(
            source=f"slide {i}",
            split="val" if i == IMAGES - 1 else "train",
            mpp=MPP,
            licence="CC0-1.0",
            corrected=True,
            metadata=record.provenance(),
        )
        save_training_pair(PLACE / "pairs", f"t{i}", made.image, made.labels, about)
        found[f"t{i}"] = made.labels
    return found


def models() -> None:
    """A tiny network without types, one with, and a token decoder in its family's own form."""
    folder = PLACE / "models"
    folder.mkdir()
    save(folder / "tiny.safetensors", "compact", {"widths": [4, 8]})
    save(folder / "typed.safetensors", "compact", {"widths": [4, 8], "n_types": 3})
    config = {"embed_dim": 8, "bottleneck": 8, "n_types": 5, "token_prefix": 5}
    save(PLACE / "optimus.pth", "optimus", config, sparse=True)
    packed = lzma.compress((PLACE / "optimus.pth").read_bytes(), preset=9)
    (folder / "optimus.pth.xz").write_bytes(packed)


def save(path: Path, name: str, config: dict[str, Any], *, sparse: bool = False) -> None:
    """Write a network of random weights; ``sparse`` ones pack well."""
    torch.manual_seed(0)
    network = build(name, config).eval()
    with torch.no_grad():
        for weight in network.parameters() if sparse else ():
            if weight.ndim > 1:
                kept = torch.rand_like(weight) < 24 / weight[0].numel()
                weight.copy_(torch.where(kept, torch.sign(weight) / 4, 0.0))
    n_types = config.get("n_types") or 0
    info = nh.ModelInfo(
        name,
        types=numbered(n_types) if n_types else {},
        mpp=MPP,
        licence="CC0-1.0",
        config=network.config,
    )
    nh.save_model(nh.Model(network, info, torch.device("cpu")), path)


def predicted(labels: Labels) -> None:
    """Predictions that are wrong in a known way: two nuclei are one, and the last is missed."""
    (PLACE / "predicted").mkdir()
    for name, truth in labels.items():
        wrong = np.where(truth == truth.max(), 0, np.where(truth == 2, 1, truth))
        write_label_tiff(PLACE / "predicted" / f"{name}.tif", wrong.astype(np.int32), mpp=MPP)


def exports(labels: Labels) -> None:
    """The labels of one image in every format, as a Labels layer of the viewer writes them."""
    folder = PLACE / "exports"
    folder.mkdir()
    ids = np.arange(1, int(labels["t3"].max()) + 1)
    features = {
        "index": ids,
        "type": ids % 2 + 1,
        "type_probability": 1 - ids / 20,
        "magnitude_mean": 0.5 + ids / 40,
        "magnitude_p95": 0.75 + ids / 40,
        "np_mean": 1 - ids / 40,
    }
    types = {"1": {"name": "round", "color": [255, 0, 0]},
             "2": {"name": "long", "color": [0, 0, 255]}}  # fmt: skip
    known = {"mpp": MPP, "offset": [100, 200], "model": {"types": types}, "types": types}
    layer = {"name": "nuclei", "features": features, "metadata": {"napari_hovernet": known}}
    for name, write in (
        ("t3.geojson", writers.write_geojson),
        ("t3.json", writers.write_hovernet_json),
        ("t3.mat", writers.write_hovernet_mat),
        ("t3.csv", writers.write_csv),
        ("t3.tif", writers.write_label_tiff),
    ):
        write(str(folder / name), labels["t3"], layer)
    plain = {**layer, "features": {k: np.asarray(v).tolist() for k, v in features.items()}}
    (folder / "layer.json").write_text(json.dumps(plain, indent=1) + "\n")


def parameters() -> None:
    """Parameter files: of the tuner, and of a loss."""
    folder = PLACE / "params"
    folder.mkdir()
    tuned = nh.TuneParams(
        nh.SeparationParams(np_threshold=0.4, min_area=12, scales=(1.0, 2.5), depth=0.2),
        nh.HVReading(order="vh", sign="inward", scale=0.5),
    )
    write_params(folder / "separation.json", tuned)
    (folder / "loss.json").write_text(json.dumps(asdict(LossParams(lambda_magnitude=5.0))) + "\n")


def tables(labels: Labels) -> None:
    """Comparison and blob check of exact maps and wrong instances."""
    folder = PLACE / "reports"
    folder.mkdir()
    truth = labels["t3"]
    maps = nh.Maps(np=truth > 0, hv=nh.hv_targets(truth))
    wrong = np.where(truth == 2, 1, truth).astype(np.int32)
    comparison = nh.compare(truth, wrong, maps)
    write_comparison_csv(folder / "comparison.csv", comparison)
    write_comparison_json(folder / "comparison.json", comparison, {"image": "t3"})
    write_blob_table(folder / "blobs.csv", nh.blob_report(maps, wrong), offset=(100, 200), mpp=MPP)


def family() -> None:
    """Cached features of a token decoder's family, small: eight numbers a token, int8 HV."""
    folder = PLACE / "family"
    folder.mkdir()
    written = write_token_family(folder, "skin", TokenFamilyParams(n=2, dim=8, folds=2))
    for path in written.values():
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        if "features" in arrays:
            arrays["features"] = arrays["features"].astype(np.float16)
        if "hv_targets" in arrays:
            arrays["hv_targets"] = np.round(arrays["hv_targets"] * 127).astype(np.int8)
        if "images" in arrays:
            arrays["images"] = arrays["images"] // 64 * 64
        np.savez_compressed(path, **arrays)


def run() -> None:
    """A run of three epochs that was asked to stop in the second."""
    cli("train", "--data", "pairs", "--start", "models/tiny.safetensors", "--epochs", "3",
        "--batch", "2", "--crop", "64", "--steps-per-epoch", "12", "--save-epochs", "1",
        "--device", "cpu", "--threads", "1", "--seed", "3", "--runs-dir", "runs",
        "--name", "first", "--detach")  # fmt: skip
    folder = PLACE / "runs" / "first"
    events = folder / "events.jsonl"
    while not events.exists() or '"event": "step", "epoch": 2' not in events.read_text():
        time.sleep(0.005)
    RunStore(PLACE / "runs").stop("first")
    while json.loads((folder / "status.json").read_text())["state"] not in ("stopped", "done"):
        time.sleep(0.1)
    time.sleep(5)  # its report
    (folder / "report.html").unlink(missing_ok=True)  # large, and made of the rest
    (folder / "control.json").unlink(missing_ok=True)
    mark = {"pid": 1, "birth": "another time", "host": "another computer"}
    (folder / "process.json").write_text(json.dumps(mark) + "\n")
    shutil.rmtree(PLACE / "runs" / ".queue")


def expected() -> None:
    """What networks and measures say today, to a few digits."""
    found: dict[str, Any] = {"sampled": SAMPLED}
    image = np.asarray(Image.open(PLACE / "pairs" / "images" / "t3.png"))
    files = {
        "tiny": PLACE / "models" / "tiny.safetensors",
        "typed": PLACE / "models" / "typed.safetensors",
        "trained": PLACE / "runs" / "first" / "last.safetensors",
    }
    for name, path in files.items():
        maps = nh.predict(nh.load_model(path, "cpu"), image)
        values = [maps.np, *maps.hv, *(() if maps.types is None else maps.types)]
        at = [[round(float(v[r, c]), 5) for r, c in SAMPLED] for v in values]
        found[name] = {"means": [round(float(v.mean()), 5) for v in values], "at": at}
    said = cli("magnitude", "--family", "skin", "--data-dir", "family", "--checkpoint",
               "optimus.pth", "--device", "cpu", "--json")  # fmt: skip
    overall = json.loads(said)["overall"]
    found["optimus"] = {k: overall[k] for k in ("mean", "direction", "true_magnitude")}
    shutil.copytree(PLACE / "runs", PLACE / "again")
    cli("train", "--resume", "first", "--runs-dir", "again", "--now")
    lines = (PLACE / "again" / "first" / "events.jsonl").read_text().splitlines()
    last = [e for e in map(json.loads, lines) if e["event"] == "epoch"][-1]
    keys = ("loss", "magnitude", "hv_mse", "dice")
    found["resumed"] = {k: round(last["val"][k], 5) for k in keys}
    shutil.rmtree(PLACE / "again")
    (PLACE / "optimus.pth").unlink()
    (PLACE / "expected.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
