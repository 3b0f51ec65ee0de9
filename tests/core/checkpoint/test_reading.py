from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_hovernet.core import weights
from napari_hovernet.core.checkpoint import describe, header, load_model, save_model
from napari_hovernet.errors import CheckpointError, DeviceError


@pytest.fixture
def ours(tiny, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(tiny, path)
    return path


def rewrite(path, **fields):
    """Change fields of the header, leaving the weights as they are."""
    state = load_file(path)
    with safe_open(path, "pt") as file:
        data = json.loads(file.metadata()[header.KEY])
    save_file(state, path, {header.KEY: json.dumps(data | fields)})


def test_loaded_model_is_ready_and_known(ours, tiny):
    model = load_model(ours, "cpu")
    assert not model.network.training
    assert model.device == torch.device("cpu")
    image = torch.rand(1, 3, 8, 8) * 255
    with torch.inference_mode():
        assert torch.equal(model.network(image)["tp"], tiny.network(image)["tp"])
    info = model.info
    assert info.parameters == sum(p.numel() for p in tiny.network.parameters())
    assert info.sha256 == hashlib.sha256(ours.read_bytes()).hexdigest()
    assert info.source == str(ours)


def test_describe_says_the_same(ours):
    assert vars(describe(ours)) == vars(load_model(ours, "cpu").info)


def test_weights_can_be_trained_on(ours):
    network = load_model(ours, "cpu").network.train()
    network(torch.rand(1, 3, 8, 8))["np"].sum().backward()
    assert all(p.requires_grad for p in network.parameters())


def test_a_name_tells_nothing(ours):
    other = ours.with_suffix(".png")
    ours.rename(other)
    assert describe(str(other)).architecture == "compact"


def test_plain_safetensors_of_a_known_network_are_recognised(tiny, tmp_path):
    path = tmp_path / "plain.safetensors"
    save_file(tiny.network.state_dict(), path)
    assert describe(path).file_kind == "bare weights"


def test_legacy_pickles_are_read(tiny, tmp_path):
    path = tmp_path / "m.pth"
    torch.save(tiny.network.state_dict(), path, _use_new_zipfile_serialization=False)
    assert describe(path).config["widths"] == [4, 8]


def test_the_built_in_model_is_found_by_name(ours, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", ours.parent)
    ours.rename(ours.with_name("compact.safetensors"))
    assert weights.offered() == ("compact",)
    info = describe("compact")
    assert info.source == "compact"
    assert load_model("compact", "cpu").info.sha256 == info.sha256


def test_without_the_built_in_model_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    assert weights.offered() == ()
    with pytest.raises(CheckpointError, match=r"which has none.*install napari-hovernet again"):
        load_model("compact", "cpu")


def test_what_is_said_of_a_built_in_model_is_in_its_header():
    assert weights.DEFAULT in weights.offered()
    for name in weights.offered():
        known, info = weights.BUILT_IN[name], describe(name)
        assert info.licence.startswith(known.licence)
        assert known.commercial == ("NC" not in known.licence)
        assert known.attribution


@pytest.mark.parametrize("source", [None, 5])
def test_a_source_that_is_no_path_is_refused(source):
    with pytest.raises(CheckpointError, match="no path"):
        describe(source)


def test_an_unknown_device_is_refused_before_reading(tmp_path):
    with pytest.raises(DeviceError):
        load_model(tmp_path / "none", "abacus")


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_safetensors_cut_short(keep, ours):
    data = ours.read_bytes()
    ours.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        describe(ours)


def test_safetensors_that_claim_more_than_they_hold(tmp_path):
    entry = {"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    text = json.dumps(entry).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        describe(path)


def test_a_pickle_that_claims_more_than_it_holds(tmp_path):
    """One number shown as a huge tensor by strides of zero."""
    path = tmp_path / "m.pth"
    big = torch.zeros(1).expand(10**6, 10**6, 3, 3)
    torch.save({"heads.np.0.weight": big, "down.0.conv1.weight": big}, path)
    with pytest.raises(CheckpointError, match="claims 72,000,000,000,000 bytes"):
        describe(path)


def test_a_header_that_does_not_fit_the_weights(ours):
    rewrite(ours, config={"widths": [4, 16], "n_types": 3})
    with pytest.raises(CheckpointError, match="of another shape"):
        describe(ours)


def test_a_header_whose_types_contradict_the_network(ours):
    rewrite(ours, types=[])
    with pytest.raises(CheckpointError, match="says 0 types, but its network has 3"):
        describe(ours)


def test_a_header_whose_mode_contradicts_the_network(ours):
    rewrite(ours, mode="fast")
    with pytest.raises(CheckpointError, match="mode 'fast'"):
        describe(ours)


def test_a_file_that_vanishes_is_said(ours):
    ours.unlink()
    with pytest.raises(CheckpointError, match="There is no file"):
        describe(ours)


def test_info_survives_a_second_round(ours, tmp_path):
    first = load_model(ours, "cpu")
    again = tmp_path / "again.safetensors"
    save_model(replace(first, info=replace(first.info, licence="CC0")), again)
    info = describe(again)
    assert info.licence == "CC0"
    assert info.origin[-1]["sha256"] == first.info.sha256
