import argparse
import collections
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_hovernet.core.checkpoint import describe, load_model
from napari_hovernet.core.checkpoint.header import identify
from napari_hovernet.core.checkpoint.read import read
from napari_hovernet.errors import CheckpointError

from ...refusals import refuses

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
    assert back["good"] is True
    assert str(back["args"].out).replace("\\", "/") == "runs/a"


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
