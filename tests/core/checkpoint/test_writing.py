import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_hovernet.core.checkpoint import describe, load_model, save_model
from napari_hovernet.core.networks.hovernet import HoVerNet
from napari_hovernet.core.types import Model, ModelInfo, TypeInfo
from napari_hovernet.errors import CheckpointError, OutputError

from ...refusals import refuses


def same_weights(first, second):
    left, right = first.state_dict(), second.state_dict()
    return list(left) == list(right) and all(torch.equal(left[k], right[k]) for k in left)


def hovernet_model(weights, mode="fast", n_types=None):
    with torch.device("meta"):
        network = HoVerNet(mode, n_types)
    network.load_state_dict(weights("hovernet", mode=mode, n_types=n_types), assign=True)
    info = ModelInfo("hovernet", mode=mode, config=network.config, mpp=0.25)
    return Model(network.eval(), info, torch.device("cpu"))


def test_round_trip_of_ours_is_exact_and_keeps_everything(tiny, tmp_path):
    types = {0: TypeInfo("background", (0, 0, 0)), 1: TypeInfo("a", (1, 2, 3))}
    types[2] = TypeInfo("b", (4, 5, 6))
    tiny = replace(tiny, info=replace(tiny.info, types=types, notes=("trained at night",)))
    save_model(tiny, tmp_path / "m.safetensors")
    back = load_model(tmp_path / "m.safetensors", "cpu")
    assert same_weights(tiny.network, back.network)
    for field in ("architecture", "types", "mpp", "licence", "training", "history", "notes"):
        assert getattr(back.info, field) == getattr(tiny.info, field)
    assert back.info.file_kind == "napari-hovernet"


@pytest.mark.parametrize("suffix", [".tar", ".pth"])
def test_round_trip_of_hovernets_other_forms_is_exact(suffix, weights, tmp_path):
    model = hovernet_model(weights)
    path = tmp_path / f"m{suffix}"
    save_model(model, path)
    back = load_model(path, "cpu")
    assert same_weights(model.network, back.network)
    assert back.info.file_kind == {".tar": "hover_net", ".pth": "tiatoolbox"}[suffix]
    raw = torch.load(path, weights_only=True)
    assert list(raw) == (["desc"] if suffix == ".tar" else list(model.network.state_dict()))


def test_a_bare_compact_is_exact_says_what_is_lost_and_origin_grows(tiny, tmp_path):
    save_model(tiny, tmp_path / "m.pth")
    back = load_model(tmp_path / "m.pth", "cpu")
    assert same_weights(tiny.network, back.network) and "licence" in back.info.notes[0]
    save_model(tiny, tmp_path / "m.pth")
    first = load_model(tmp_path / "m.pth", "cpu")
    save_model(first, tmp_path / "m.safetensors")
    second = describe(tmp_path / "m.safetensors")
    assert second.origin == (
        {"file": "m.pth", "kind": "bare weights", "sha256": first.info.sha256},
    )
    assert second.notes == first.info.notes, "what was assumed stays said"


def test_float16_stores_kernels_small_and_vectors_whole(tiny, tmp_path):
    whole, half = tmp_path / "w.safetensors", tmp_path / "h.safetensors"
    save_model(tiny, whole)
    save_model(tiny, half, dtype=torch.float16)
    kernels = sum(p.numel() for p in tiny.network.parameters() if p.ndim > 1)
    assert abs(whole.stat().st_size - half.stat().st_size - 2 * kernels) < 128  # the headers differ
    back = load_model(half, "cpu").network.state_dict()
    for key, value in tiny.network.state_dict().items():
        wanted = value.half().float() if value.ndim > 1 else value
        assert back[key].dtype == value.dtype and torch.equal(back[key], wanted)


def test_the_same_model_gives_the_same_bytes_and_a_flipped_bit_is_noticed(tiny, tmp_path):
    for name in ("a", "b"):
        save_model(tiny, tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    save_model(tiny, tmp_path / "m.safetensors")
    assert [t.name for t in describe(tmp_path / "m.safetensors").types.values()] == [
        "background",
        "type 1",
        "type 2",
    ]
    path = tmp_path / "a.safetensors"
    save_model(tiny, path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    refuses("not those of its checksum", load_model, path, "cpu", by=CheckpointError)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"types": {0: TypeInfo("background", (0, 0, 0))}}, "3 types but 1"),
        ({"mpp": 900.0}, "mpp 900"),
        ({"hv_convention": "mine"}, "hv_convention 'mine'"),
        ({"types": {1: TypeInfo("a", (0, 0, 0))}}, "type 0"),
    ],
)
def test_a_description_that_could_not_be_read_back_is_refused(changes, match, tiny, tmp_path):
    tiny = replace(tiny, info=replace(tiny.info, **changes))
    refuses(match, save_model, tiny, tmp_path / "m.safetensors", by=OutputError)
    assert list(tmp_path.iterdir()) == []


def test_endings_kinds_and_folders_that_are_none_are_refused(tiny, tmp_path):
    refuses(r"'compact': use \.safetensors", save_model, tiny, tmp_path / "m.tar", by=OutputError)
    with pytest.raises(OutputError, match=r"'m\.onnx'.*\.safetensors.*\.tar.*\.pth"):
        save_model(tiny, tmp_path / "m.onnx")
    with pytest.raises(OutputError, match="float32, float16, bfloat16"):
        save_model(tiny, tmp_path / "m.safetensors", dtype=torch.int8)
    with pytest.raises(OutputError, match="folder does not exist"):
        save_model(tiny, tmp_path / "none" / "m.safetensors")


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), None), (1e6, torch.float16)])
def test_a_weight_that_is_not_finite_is_not_written(value, dtype, tiny, tmp_path):
    with torch.no_grad():
        tiny.network.heads["np"][0].weight[0, 0, 0, 0] = value
    with pytest.raises(OutputError, match=r"heads\.np\.0\.weight is not finite"):
        save_model(tiny, tmp_path / "m.safetensors", dtype=dtype)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(suffix, tiny, tmp_path, monkeypatch):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"old")

    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    refuses("disk is full", save_model, tiny, path, by=OutputError)
    assert (path.read_bytes(), [p.name for p in tmp_path.iterdir()]) == (b"old", [path.name])
