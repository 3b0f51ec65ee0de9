"""Where a run starts from."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import napari_hovernet as nh
from napari_hovernet.core.checkpoint import load_model, save_model
from napari_hovernet.core.data.samples import LoadedData, Sample
from napari_hovernet.core.io.geojson import write_geojson
from napari_hovernet.core.io.hover_net import write_hovernet_json
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.params import DataParams, TrainConfig
from napari_hovernet.core.training.check import load_data, needs_of
from napari_hovernet.core.training.module import start_of
from napari_hovernet.core.types import BACKGROUND, CONSEP, Model, ModelInfo, TypeInfo
from napari_hovernet.errors import CheckpointError

from ...refusals import refuses


def loaded(types: bool = False, mpp: float | None = None) -> LoadedData:
    labels = np.zeros((40, 40), np.int32)
    labels[5:20, 5:20] = 1
    more = {"types": np.where(labels > 0, 3, 0)} if types else {}
    image = np.zeros((40, 40, 3), np.uint8)
    return LoadedData((Sample("a", image=image, labels=labels, mpp=mpp, **more),), ())


def test_what_a_start_reads_and_knows_of_itself():
    assert needs_of("compact") == needs_of("scratch:hovernet") == "image"
    assert needs_of("scratch:optimus") == "tokens"
    refuses("scratch:cat", needs_of, "scratch:cat")
    refuses("nowhere", needs_of, "nowhere.pth", by=CheckpointError)
    start = start_of(TrainConfig(start="compact", data=DataParams()), loaded())
    assert start.info.architecture == "compact" and start.info.mpp == 0.25
    assert not start.typed and start.n_types is None
    assert start.info.origin, "where the weights come from is provenance"
    start = start_of(TrainConfig(start="scratch:compact"), loaded(types=True))
    assert start.typed and start.n_types == 4
    assert len(start.info.types) == 4 and any("untrained" in note for note in start.notes)
    found = start_of(TrainConfig(start="compact"), loaded(types=True))
    assert found.typed and found.n_types == 4
    said = "The model has no types: a new type head learns type 1, type 2, type 3."
    assert said in found.notes


def typed_file(path: Path, names: tuple[str, ...] = ("round", "long", "flat")) -> str:
    network = build("lite", {"n_types": len(names) + 1, "widths": (16, 16, 16, 16)})
    types = {0: BACKGROUND} | {i: TypeInfo(n, (i, 0, 0)) for i, n in enumerate(names, start=1)}
    info = ModelInfo("lite", mpp=0.25, types=types, config=dict(network.config))
    save_model(Model(network, info, torch.device("cpu")), path)
    return str(path)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({}, True),  # numbers alone, which the model knows
        ({1: "Round", 2: "long", 3: "flat"}, True),
        ({1: "long", 2: "round", 3: "flat"}, False),
        ({1: "round", 2: "long", 3: "flat", 4: "odd"}, False),
    ],
)
def test_new_types_get_a_new_head_and_nothing_else(tmp_path, names, kept):
    start = typed_file(tmp_path / "typed.safetensors")
    infos = {k: TypeInfo(name, (9, 9, 9)) for k, name in names.items()}
    data = replace(loaded(types=True), type_names={0: BACKGROUND, **infos} if infos else {})
    found = start_of(TrainConfig(start=start), data)
    before, after = load_model(start).network.state_dict(), found.network.state_dict()
    changed = {
        n for n in after if n not in before or not torch.equal(before[n].float(), after[n].float())
    }
    assert changed == (set() if kept else {"outputs.tp.1.weight", "outputs.tp.1.bias"})
    assert found.typed and found.n_types == max(len(names), 3) + 1
    assert found.info.config["n_types"] == found.n_types
    if names:
        assert {k: t.name for k, t in found.info.types.items() if k} == names
    assert kept != any("a new type head learns" in note for note in found.notes)


def test_types_are_numbered_by_the_names_in_the_files(tmp_path: Path):
    """Files of QuPath number classes as they come; the model's numbers count, or one for all."""
    for k, order in enumerate((("long", "round"), ("flat", "long"))):
        image = np.full((64, 64, 3), 200, np.uint8)
        cv2.imwrite(str(tmp_path / f"i{k}.png"), image)
        features = [square(8 + 20 * i, name) for i, name in enumerate(order)]
        (tmp_path / f"i{k}.geojson").write_text(json.dumps(features))
    params = DataParams((str(tmp_path),))
    start = typed_file(tmp_path / "typed.safetensors")
    found = load_data(TrainConfig(start=start, data=params))
    assert [kinds(s) for s in found.all] in ([[1, 2], [2, 3]], [[2, 3], [1, 2]])
    assert found.type_names[2].name == "long"
    other = load_data(TrainConfig(start="scratch:compact", data=params))
    assert [t.name for k, t in sorted(other.type_names.items()) if k] == ["long", "round", "flat"]
    scheme = tmp_path / "types.json"
    scheme.write_text('{"1": ["both", [1, 2, 3], ["round", "LONG"]]}')
    grouped = load_data(TrainConfig(start=start, data=replace(params, types=str(scheme))))
    assert sorted(kinds(s) for s in grouped.all) == [[0, 1], [1]]
    assert start_of(TrainConfig(start=start), grouped).n_types == 2


def test_own_exports_keep_their_numbers(tmp_path: Path):
    """They name background too, as type 0, which is no type to count."""
    labels = np.zeros((64, 400), np.int32)
    labels[8:18, 8:18], labels[30:40, 380:390] = 1, 2
    maps = nh.Maps(np=labels > 0, hv=nh.hv_targets(labels),
                   types=np.stack([labels == k for k in range(5)]).astype(np.float32))  # fmt: skip
    nuclei = measure(labels, maps, dict(CONSEP))
    cv2.imwrite(str(tmp_path / "i.png"), np.full((64, 400, 3), 200, np.uint8))
    for name, write in (("i.geojson", write_geojson), ("i.json", write_hovernet_json)):
        write(tmp_path / name, nuclei)
        found = load_data(TrainConfig(start="scratch:compact", data=DataParams((str(tmp_path),))))
        names = {k: t.name for k, t in found.type_names.items()}
        assert names[0] == "background" and set(names) == {0, 1, 2, 3, 4}, name
        seen = [names[k] for s in found.all for k in kinds(s)]
        assert seen == ["miscellaneous", "inflammatory"], name
        (tmp_path / name).unlink()


def square(at: int, name: str) -> dict[str, object]:
    ring = [[at, at], [at + 10, at], [at + 10, at + 10], [at, at + 10], [at, at]]
    return {
        "type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": name, "color": [1, 2, 3]}},
    }  # fmt: skip


def kinds(sample: Sample) -> list[int]:
    """Types inside nuclei."""
    arrays = sample.arrays
    assert arrays.types is not None and arrays.labels is not None
    return sorted(set(arrays.types[arrays.labels > 0].tolist()))
