"""What the command line says."""

from __future__ import annotations

import pytest

from napari_hovernet.cli.console import ProgressBar, complain, one_line, say, say_error
from napari_hovernet.core.types import Progress


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("result")
    complain("hm")
    say_error(ValueError("bad\n  value"), "a.png")
    said = capsys.readouterr()
    assert said.out == "result\n"
    assert said.err == "napari-hovernet: hm\nnapari-hovernet: error: a.png: bad value\n"


def test_an_error_without_text_is_named() -> None:
    assert one_line(KeyError()) == "KeyError"


def test_the_bar_shows_tiles_phases_and_notices(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("a_very_long_name_of_an_image_file.tif", live=True) as bar:
        bar(Progress(0, 0, "reading"))
        bar(Progress(1, 4, "tile 64", notice="out of memory: tile halved"))
        bar(Progress(3, 4))
        bar(Progress(2, 8, "smaller tiles"))
        bar(Progress(0, 0, "Separating nuclei ..."))
    said = capsys.readouterr()
    assert said.out == ""
    assert "3/4" in said.err
    assert "2/8" in said.err
    assert "Separating nuclei" in said.err
    assert "...name_of_an_image_file.tif" in said.err
    assert "note: a_very_long_name_of_an_image_file.tif: out of memory" in said.err


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("a.tif", quiet=True) as bar:
        bar(Progress(1, 4, notice="something"))
    assert capsys.readouterr() == ("", "")


def test_a_log_file_gets_notices_and_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("a.tif") as bar:
        for done in range(5):
            bar(Progress(done, 4, "tile", notice="tile halved" if done == 2 else ""))
    assert capsys.readouterr().err == "napari-hovernet: note: a.tif: tile halved\n"
