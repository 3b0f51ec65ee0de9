"""The command ``segment``: images and folders in, files out; everything that can go wrong."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_hovernet.cli import segment as segment_module
from napari_hovernet.cli.segment import Search, find_inputs, name_results
from napari_hovernet.core.io.labels import read_label_tiff
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.types import Maps, Separation
from napari_hovernet.errors import InputError

from .conftest import files_below

ENDINGS = [".csv", ".geojson", ".json", ".mat", "_labels.tif"]
Segment = Callable[..., Any]


def squares(maps: Maps, _: SeparationParams) -> Separation:
    """What a trained network might give: touching nuclei of 8 x 8 pixels all over."""
    rows, cols = (np.arange(length) // 8 for length in maps.shape)
    labels = (rows[:, None] * (cols[-1] + 1) + cols + 1).astype(np.int32)
    return Separation(labels > 0, maps.np, labels, labels)


@pytest.fixture
def segment(run: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Segment:
    """Run the command with an untrained network, but find nuclei."""
    monkeypatch.setattr("napari_hovernet.app.segment.separate", squares)

    def call(*argv: object) -> Any:
        return run("segment", *argv, "--model", model_file, "--device", "cpu")

    return call


def test_a_folder_with_folders(segment: Segment, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert segment(images, "-o", out, "--formats=csv").status == 0
    assert files_below(out) == ["a.csv", "b.csv"]
    outcome = segment(images, "-o", tmp_path / "all", "--formats=csv", "--recursive")
    assert outcome.status == 0
    assert files_below(tmp_path / "all") == ["b.csv", "images/a.csv", "more/a.csv"]
    assert len(outcome.out.splitlines()) == 3


def test_choices_reach_the_run(segment: Segment, images: Path, tmp_path: Path) -> None:
    outcome = segment(
        images / "a.tif", "-o", tmp_path / "out", "--formats", "tiff", "--image_mpp", "0.5",
        "--model_mpp=0.5", "--tile", 32, "--batch", 1, "--precision", "float32", "--preset",
        "hover_net", "--min-area", 1,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    about = read_label_tiff(tmp_path / "out" / "a_labels.tif").metadata
    assert (about["mpp"], about["inference"]["tile"]) == (0.5, 32)
    assert about["inference"]["model_mpp"] == 0.5
    assert (about["separation"]["method"], about["separation"]["min_area"]) == ("hover_net", 1)
    assert about["image"] == "a.tif"


@pytest.mark.parametrize("content", ["this is no picture", None])
def test_a_bad_image_among_good_ones_does_not_stop_them(segment, images, tmp_path, content) -> None:
    path = images / "bad.png"
    if content:
        path.write_text(content)
    outcome = segment(path, images, "-o", tmp_path / "out", "--formats=csv")
    assert (outcome.status, files_below(tmp_path / "out")) == (1, ["a.csv", "b.csv"])
    assert len(outcome.errors) == 1 and "napari-hovernet: 1 of 3 images failed:" in outcome.err
    assert path.name in outcome.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--region", 10, 10, 5, 20], "rows 10 to 5"),
        (["--region", 1000, 0, 2000, 20], "48 rows and 64 columns"),
        (["--image-mpp", "nan"], "image_mpp is nan"),
        (["--formats", "xml"], "xml"),
    ],
)
def test_wrong_choices_are_one_clear_line(run, model_file, images, tmp_path, argv, said) -> None:
    outcome = run("segment", images / "a.tif", "-o", tmp_path / "o", "--model", model_file, *argv)
    assert (outcome.status, len(outcome.errors)) == (2, 1) and said in outcome.errors[0]
    assert files_below(tmp_path / "o") == []


def test_a_full_disk_ends_the_run_and_leaves_no_half_written_file(
    segment: Segment, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_hovernet.core.io.files.os.fsync", full)
    outcome = segment(images, "-o", tmp_path / "out")
    assert (outcome.status, len(outcome.errors)) == (2, 1)
    assert "the disk is full" in outcome.errors[0] and files_below(tmp_path / "out") == []


def test_ctrl_c_in_the_middle_keeps_what_is_done_and_leaves_nothing_half(
    segment: Segment, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = segment_module.segment_steps, []

    def pressed(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        steps = original(*args, **kwargs)
        if len(calls) == 2:
            yield next(steps)
            raise KeyboardInterrupt
        return (yield from steps)

    monkeypatch.setattr(segment_module, "segment_steps", pressed)
    outcome = segment(images, "-o", tmp_path / "out")
    assert outcome.status == 130 and "interrupted" in outcome.err
    assert files_below(tmp_path / "out") == [f"a{ending}" for ending in ENDINGS]


def heed_interrupts() -> None:
    """Undo what a shell does to a command in the background: it has it ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_real_signal_to_a_real_process(model_file, tmp_path, sent, status) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "large.tif", image, photometric="rgb")
    given = ["segment", "large.tif", "-o", "out", "--model", str(model_file), "--tile", "128"]
    command = [sys.executable, "-m", "napari_hovernet", *given]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - one call, no lock taken
    )
    said = process.stderr.readline()  # the line about the model: the run begins
    time.sleep(1)
    process.send_signal(sent)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == status, said + rest
    assert "Traceback" not in rest and files_below(tmp_path / "out") == []


SUFFIXES = (".png", ".tif")


def stems(*names: str) -> list[str]:
    return [found.stem.as_posix() for found in name_results([Path(name) for name in names])]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("b.TIF", "a.png", ".hidden.png", "text.txt", "sub/a.png"):
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def names(tree: Path, search: Search) -> list[str]:
    return [i.path.relative_to(tree).as_posix() for i in find_inputs([tree], search)]


def test_names_are_as_short_as_they_can_be() -> None:
    assert stems("x/a.png", "y/b.v2.tif", "z/c.OME.tif") == ["a", "b.v2", "c"]
    assert stems("/x/a.png", "/y/a.png", "/y/b.png") == ["x/a", "y/a", "b"]
    assert stems("/1/x/a.png", "/2/x/a.png") == ["1/x/a", "2/x/a"]
    assert stems("x/a.png", "x/a.tif") == ["a.png", "a.tif"]


@pytest.mark.parametrize(
    "given",
    [
        ["/a.png", "/x/a.png", "/x/x/a.png"],
        ["/x/A.png", "/y/a.png"],
        ["/x/.ome.tif", "/x/a.ome.tif", "/x/a.tif"],
        ["/x/a.png", "/x/a.tif", "/y/a.png"],
        ["/x/a", "/x/a.png", "/y/a.png.tif"],
    ],
)
def test_no_two_results_ever_share_a_name(given: list[str]) -> None:
    found = [stem.casefold() for stem in stems(*given)]
    assert len(set(found)) == len(given) and not any(stem.startswith(("/", "..")) for stem in found)


def test_a_folder_gives_its_images_once_and_no_labels_nor_results(tree, tmp_path) -> None:
    assert names(tree, Search(SUFFIXES)) == ["a.png", "b.TIF"]
    assert names(tree, Search(SUFFIXES, recursive=True)) == ["a.png", "b.TIF", "sub/a.png"]
    assert names(tree, Search(SUFFIXES, pattern="b*")) == ["b.TIF"]
    found = find_inputs([tree / "a.png", tree, tree / "text.txt"], Search(SUFFIXES))
    assert [i.path.name for i in found] == ["a.png", "b.TIF", "text.txt"]
    (tree / "z_labels.tif").touch()
    (tree / "out").mkdir()
    (tree / "out" / "c.png").touch()
    assert "z_labels.tif" in names(tree, Search(SUFFIXES, leave_out=tree.parent / "other"))
    assert "z_labels.tif" not in names(tree, Search(SUFFIXES, leave_out=tree))
    inside = names(tree, Search(SUFFIXES, recursive=True, leave_out=tree / "out"))
    assert "out/c.png" not in inside and "sub/a.png" in inside
    with pytest.raises(InputError, match=r"holds no image \(\*\.jpg\); --recursive"):
        find_inputs([tree], Search((".jpg",)))
    with pytest.raises(InputError, match=r"holds no image \(y\*\)\."):
        find_inputs([tree], Search(SUFFIXES, pattern="y*", recursive=True))
    for name in ("a.png", "a_lab.png", "b_mask.png"):
        (tmp_path / name).touch()
    found = [image.stem.name for image in find_inputs([tmp_path], Search((".png",)))]
    assert found == ["a", "b_mask"], "an image may be called mask"
    every = find_inputs([tmp_path], Search((".png",), pattern="*.png"))
    assert len(every) == 3, "who names a pattern means it"


def test_file_names_that_are_no_text(segment: Segment, images: Path, tmp_path: Path) -> None:
    """Bytes that are no UTF-8, as Latin-1 names of other systems are."""
    try:
        strange = tmp_path / os.fsdecode(b"pr\xe4parat.tif")
        strange.write_bytes((images / "b.tif").read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names alone")
    assert segment(strange, "-o", tmp_path / "out").status == 0
    assert len(files_below(tmp_path / "out")) == len(ENDINGS)
