"""Types named anew and taken together: the file, the network, and every kind of result."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_hovernet as nh
from napari_hovernet.core.inference.regrouped import with_types
from napari_hovernet.core.io.files import read_type_scheme
from napari_hovernet.core.io.labels import write_label_tiff
from napari_hovernet.core.io.open import read_labels
from napari_hovernet.core.io.tables import write_table
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.types import CONSEP, Model, ModelInfo, TypeInfo
from napari_hovernet.errors import InputError

from ..refusals import refuses

GROUPS = {"1": ["tumour", [255, 0, 0], [3]], "2": ["other", [0, 0, 255], [1, "Spindle"]]}


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_types_are_named_and_taken_together(tmp_path):
    plain = {"0": ["nolabel", [0, 0, 0]], "1": ["neopla", [255, 0, 0]], "2": ["x", [0, 9, 0]]}
    scheme = read_type_scheme(written(tmp_path / "type_info.json", plain))
    assert scheme.names[1] == TypeInfo("neopla", (255, 0, 0))
    assert scheme.table(4).tolist() == [0, 1, 2, 0]
    own = {str(k): {"name": t.name, "color": list(t.color)} for k, t in CONSEP.items()}
    assert read_type_scheme(written(tmp_path / "own.json", own)).names == dict(CONSEP)
    scheme = read_type_scheme(written(tmp_path / "t.json", GROUPS))
    assert scheme.table(5, CONSEP).tolist() == [0, 2, 0, 1, 2]
    assert scheme.table(5).tolist() == [0, 2, 0, 1, 0], "without names there is no spindle"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "names no types"),
        ({"0": ["a", [0, 0, 0]]}, "names no types"),
        ({"x": ["a", [0, 0, 0]]}, "'x' is no whole number"),
        ({"1": ["a"]}, "type 1 is"),
        ({"1": ["a", [0, 0, 300]]}, "type 1 is"),
        ({"1": ["a", [0, 0, 0], [0]]}, "type 1 takes"),
        ({"1": ["a", [0, 0, 0]], "2": ["A ", [0, 0, 0]]}, "'A' stands there twice"),
        ({"1": ["a", [0, 0, 0], [3]], "2": ["b", [0, 0, 0], [3]]}, "3 stands there twice"),
    ],
)
def test_an_unfit_file_is_refused_by_name(tmp_path: Path, content: object, says: str):
    path = written(tmp_path / "bad.json", content)
    assert "bad.json" in refuses(says, read_type_scheme, path)


def typed_model() -> Model:
    torch.manual_seed(0)
    network = build("lite", {"n_types": 5, "widths": (16, 16, 16, 16)}).eval()
    info = ModelInfo("lite", types=dict(CONSEP), config=dict(network.config))
    return Model(network, info, torch.device("cpu"))


def test_a_group_has_the_sum_of_its_own_and_names_alone_leave_the_network(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    model = typed_model()
    grouped = with_types(model, read_type_scheme(written(tmp_path / "t.json", GROUPS)))
    before, after = nh.predict(model, image), nh.predict(grouped, image)
    assert before.types is not None and after.types is not None
    wanted = [before.types[[0, 2]].sum(0), before.types[3], before.types[[1, 4]].sum(0)]
    np.testing.assert_allclose(after.types, wanted, atol=1e-5)
    np.testing.assert_array_equal(after.np, before.np)
    assert [t.name for t in grouped.info.types.values()] == ["background", "tumour", "other"]
    renamed = {str(k): [f"my {t.name}", [k, k, k]] for k, t in CONSEP.items() if k}
    model = typed_model()
    found = with_types(model, read_type_scheme(written(tmp_path / "t.json", renamed)))
    assert found.network is model.network
    assert found.info.types[2] == TypeInfo("my inflammatory", (2, 2, 2))
    scheme = read_type_scheme(written(tmp_path / "t.json", {"1": ["a", [0, 0, 0], ["none such"]]}))
    refuses("None of the model's types", lambda: with_types(typed_model(), scheme))
    untyped = Model(build("compact", {}), ModelInfo("compact"), torch.device("cpu"))
    refuses("has no types that could be named", with_types, untyped, scheme)


def test_types_of_a_label_image_are_those_of_the_table_beside_it_however_stored(tmp_path):
    labels = np.zeros((30, 40), np.int32)
    labels[2:10, 2:10], labels[15:25, 5:15], labels[5:15, 25:35] = 1, 2, 3
    types = np.zeros((5, 30, 40), np.float32)
    for label, kind in ((1, 3), (2, 2), (3, 3)):
        types[kind][labels == label] = 1
    maps = nh.Maps(np=labels > 0, hv=nh.hv_targets(labels), types=types)
    nuclei = measure(labels, maps, dict(CONSEP))
    write_table(tmp_path / "a.csv", nuclei)
    write_label_tiff(tmp_path / "a_labels.tif", labels)
    found = read_labels(tmp_path / "a_labels.tif")  # its table lies beside it
    assert (found.type.tolist(), found.type_names[2].name) == ([3, 2, 3], "inflammatory")
    assert found.notes == ("types are those of a.csv",)
    labels = np.zeros((8, 8), np.uint16)
    labels[:2, :2], labels[5:, 5:] = 4, 7
    write_label_tiff(tmp_path / "im_lab.tif", labels)
    (tmp_path / "im_types.csv").write_text("label,type\n4,3\n9,1\n")
    found = read_labels(tmp_path / "im_lab.tif")
    assert (found.type.tolist(), found.type_names, found.notes) == ([3, 0], {}, ())
    (tmp_path / "im_types.csv").write_text("label,type\n4,epithelial\n")
    with pytest.raises(InputError, match=r"im_types.csv .*label and type must be whole numbers"):
        read_labels(tmp_path / "im_lab.tif")
    (tmp_path / "im_types.csv").write_text("something,else\n1,2\n")
    assert not read_labels(tmp_path / "im_lab.tif").type.any()
