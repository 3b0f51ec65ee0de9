"""All files of a result, or none."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet.app.segment import Region, SegmentParams, SegmentResult, write_result
from napari_hovernet.core.io import USUAL, Format
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.types import ModelInfo
from napari_hovernet.errors import OutputError

ALL = USUAL


@pytest.fixture
def result() -> SegmentResult:
    """Two nuclei that touch, in a region that starts at row 100, column 200."""
    labels = np.zeros((30, 40), np.int32)
    labels[5:15, 5:15], labels[5:15, 15:28] = 1, 2
    region = Region(row0=100, col0=200, row1=130, col1=240)
    given = {"labels": labels, "nuclei": measure(labels), "params": SegmentParams(region=region)}
    info = ModelInfo("compact", sha256="f00")
    return SegmentResult(info=info, offset=(100, 200), mpp=0.5, seconds=1.25, **given)


@pytest.mark.parametrize("failing", ALL)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_an_error_in_any_format_leaves_no_new_file_and_keeps_the_old(
    tmp_path, result, monkeypatch, failing, error
) -> None:
    write = Format.write

    def broken(self: Format, path: Path, *rest: Any) -> None:
        write(self, path, *rest)
        if self.name == failing:
            raise error

    (tmp_path / "a.csv").write_text("old")
    monkeypatch.setattr(Format, "write", broken)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write_result(result, tmp_path / "a")
    assert (os.listdir(tmp_path), (tmp_path / "a.csv").read_text()) == (["a.csv"], "old")


def test_a_full_disk_names_the_file_that_was_wanted(tmp_path, result, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_hovernet.core.io.files.os.fsync", full)
    with pytest.raises(OutputError, match=r"Cannot write .*/a\.geojson: the disk is full") as said:
        write_result(result, tmp_path / "a")
    assert ".tmp" not in str(said.value) and not list(tmp_path.iterdir())
