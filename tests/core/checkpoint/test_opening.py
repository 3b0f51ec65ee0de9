import argparse
import collections
import hashlib
import io
import json
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_hovernet.core import weights
from napari_hovernet.core.checkpoint import describe, header, load_model, save_model
from napari_hovernet.core.checkpoint.header import identify
from napari_hovernet.core.checkpoint.read import read
from napari_hovernet.errors import CheckpointError

from ...refusals import refuses

ONNX = b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:" + bytes(64)


def real_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("weights.txt")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


def zipped(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


FOREIGN = {
    "PNG image": b"\x89PNG\r\n\x1a\n" + bytes(32),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(32),
    "ONNX": ONNX,
    "real tar archive": real_tar(),
    "numpy array": b"\x93NUMPY\x01\x00" + bytes(32),
    "text file": b"np,hv\n0.5,0.25\n",
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "web page": b"<!DOCTYPE html><html>404</html>",
    "npz of numpy arrays": npz(),
    "zip archive": zipped(a=b"abc"),
    "no model file": bytes(range(1, 200)) + bytes(50),
}


@pytest.mark.parametrize("what", sorted(FOREIGN))
def test_another_kind_of_file_is_named(what, tmp_path):
    path = tmp_path / "model.tar"
    path.write_bytes(FOREIGN[what])
    refuses(f"(?i){what}", identify, path, by=CheckpointError)


def test_what_is_no_model_file_is_named(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(zipped(**{"m__data.pkl": b"", "m__constants.pkl": b"", "m__code__x.py": b""}))
    refuses("TorchScript", identify, path, by=CheckpointError)
    refuses(r"no file .*built-in .*'compact'", identify, tmp_path / "none.pth", by=CheckpointError)
    refuses("is a folder", identify, tmp_path, by=CheckpointError)
    (tmp_path / "m.pth").touch()
    refuses("empty", identify, tmp_path / "m.pth", by=CheckpointError)
    path = tmp_path / "m.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(1_000_000))
    refuses("unpacks to more than its own size", identify, path, by=CheckpointError)


@pytest.mark.parametrize("length", [2**63, 10**6, 2**40])
def test_a_safetensors_header_longer_than_the_file(length, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{" + bytes(100))
    refuses("header claims", identify, path, by=CheckpointError)


FORMS = {"zip": True, "pickle": False}


class Payload:
    """Would create a file when unpickled by an ordinary reader."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loader", [load_model, describe])
def test_code_in_a_file_is_named_and_never_run(form, loader, tmp_path):
    trace, path = tmp_path / "ran", tmp_path / "m.tar"
    payload = {"desc": {"a": torch.zeros(2)}, "extra": Payload(trace)}
    torch.save(payload, path, _use_new_zipfile_serialization=FORMS[form])
    refuses(r"(posix|nt)\.system .*nothing was run", loader, path, by=CheckpointError)
    assert not trace.exists()


def test_code_in_a_plain_pickle_is_never_run_nor_whole_programs(tmp_path):
    trace, path = tmp_path / "ran", tmp_path / "m.pth"
    path.write_bytes(pickle.dumps(Payload(trace), protocol=2))
    refuses(r"system", describe, path, by=CheckpointError)
    assert not trace.exists()
    path = tmp_path / "m.pth"
    torch.save(torch.nn.Conv2d(1, 1, 1), path)
    refuses(r"torch\.nn\.modules\.conv\.Conv2d .*state_dict", describe, path, by=CheckpointError)


@pytest.mark.parametrize("form", FORMS)
def test_what_training_scripts_store_is_read(form, tmp_path):
    path = tmp_path / "m.pth"
    stored = {
        "best_dice": np.float64(0.5),
        "best_loss": np.float32(0.25),
        "epoch": np.int64(3),
        "good": np.bool_(True),
        "args": argparse.Namespace(lr=0.1, out=Path("runs/a")),
        "order": collections.OrderedDict(a=1),
    }
    torch.save(stored, path, _use_new_zipfile_serialization=FORMS[form])
    back = read(path, identify(path))
    assert (back["best_dice"], back["best_loss"], back["epoch"]) == (0.5, 0.25, 3)
    assert back["good"] is True and str(back["args"].out).replace("\\", "/") == "runs/a"


def test_numpy_scalars_under_the_old_name_are_read(tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"best": np.float64(0.5)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    old, new = b"cnumpy._core.multiarray\nscalar\n", b"cnumpy.core.multiarray\nscalar\n"
    path.write_bytes(data.replace(old, new))
    assert read(path, "pickle") == {"best": 0.5}


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_pickle_is_called_damaged(form, tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"a": torch.zeros(100)}, path, _use_new_zipfile_serialization=FORMS[form])
    if form == "pickle":
        path.write_bytes(path.read_bytes()[:-150])
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("m/data.pkl", b"\x80\x02}q\x00")
    refuses("damaged or cut short", read, path, form, by=CheckpointError)


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


def test_loaded_model_is_ready_and_known_by_its_weights_too(ours, tiny, tmp_path):
    model = load_model(ours, "cpu")
    assert not model.network.training and model.device == torch.device("cpu")
    image = torch.rand(1, 3, 8, 8) * 255
    with torch.inference_mode():
        assert torch.equal(model.network(image)["tp"], tiny.network(image)["tp"])
    info = model.info
    assert info.parameters == sum(p.numel() for p in tiny.network.parameters())
    assert info.sha256 == hashlib.sha256(ours.read_bytes()).hexdigest()
    assert (info.source, vars(describe(ours))) == (str(ours), vars(info))
    path = tmp_path / "plain.safetensors"
    save_file(tiny.network.state_dict(), path)
    assert describe(path).file_kind == "bare weights"


def test_the_built_in_model_is_found_by_name_or_the_remedy_named(ours, monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", ours.parent)
    ours.rename(ours.with_name("compact.safetensors"))
    assert weights.offered() == ("compact",)
    info = describe("compact")
    assert (info.source, load_model("compact", "cpu").info.sha256) == ("compact", info.sha256)
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "none")
    assert weights.offered() == ()
    with pytest.raises(CheckpointError, match=r"which has none.*install napari-hovernet again"):
        load_model("compact", "cpu")


def test_what_is_said_of_a_built_in_model_is_in_its_header():
    assert weights.DEFAULT in weights.offered()
    for name in weights.offered():
        known, info = weights.BUILT_IN[name], describe(name)
        assert info.licence.startswith(known.licence)
        assert known.commercial == ("NC" not in known.licence) and known.attribution


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
