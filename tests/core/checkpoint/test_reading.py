import hashlib
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_hovernet.core import weights
from napari_hovernet.core.checkpoint import describe, header, load_model, save_model
from napari_hovernet.errors import CheckpointError

from ...refusals import refuses


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
    assert vars(describe(ours)) == vars(info)


def test_plain_safetensors_of_a_known_network_are_recognised(tiny, tmp_path):
    path = tmp_path / "plain.safetensors"
    save_file(tiny.network.state_dict(), path)
    assert describe(path).file_kind == "bare weights"


def test_the_built_in_model_is_found_by_name_or_the_remedy_named(ours, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", ours.parent)
    ours.rename(ours.with_name("compact.safetensors"))
    assert weights.offered() == ("compact",)
    info = describe("compact")
    assert info.source == "compact"
    assert load_model("compact", "cpu").info.sha256 == info.sha256
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
    refuses("no path", describe, source, by=CheckpointError)


def test_files_that_claim_more_than_they_hold(tmp_path):
    entry = {"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}
    text = json.dumps(entry).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
    refuses("damaged or cut short", describe, path, by=CheckpointError)
    # One number shown as a huge tensor by strides of zero.
    path = tmp_path / "m.pth"
    big = torch.zeros(1).expand(10**6, 10**6, 3, 3)
    torch.save({"heads.np.0.weight": big, "down.0.conv1.weight": big}, path)
    refuses("claims 72,000,000,000,000 bytes", describe, path, by=CheckpointError)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"widths": [4, 16], "n_types": 3}}, "of another shape"),
        ({"types": []}, "says 0 types, but its network has 3"),
        ({"mode": "fast"}, "mode 'fast'"),
    ],
)
def test_a_header_that_does_not_fit_the_weights(ours, change, words):
    rewrite(ours, **change)
    refuses(words, describe, ours, by=CheckpointError)
