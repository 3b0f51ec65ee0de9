"""True labels from layers, files and other runs, for whole images and for regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.app.jobs import drive
from napari_hovernet.app.study import Given, Target, TruthSource, file_source, truth_steps


def labels() -> np.ndarray:
    image = np.zeros((20, 30), np.int32)
    image[3:9, 3:9], image[3:9, 9:15] = 1, 2
    return image


def source(array, origin=None, notes=()):
    return TruthSource(("layer", 1), "mine", lambda _: Given(array, origin, notes))


def test_labels_are_checked_and_noted() -> None:
    choice = drive(truth_steps(source(labels().astype(float), notes=("as is",)), Target((20, 30))))
    assert (choice.key, choice.name, choice.error) == (("layer", 1), "mine", "")
    np.testing.assert_array_equal(choice.labels, labels())
    assert choice.notes[0] == "as is"
    assert "float64" in choice.notes[1]


@pytest.mark.parametrize("bad", [labels()[1:], np.zeros((20, 30, 3), np.uint8), -labels()])
def test_labels_that_do_not_fit_are_an_error_in_words(bad: np.ndarray) -> None:
    choice = drive(truth_steps(source(bad), Target((20, 30))))
    assert choice.labels is None
    assert choice.error.startswith("The truth ")


def test_labels_of_the_whole_image_are_cut_to_a_region() -> None:
    target = Target((8, 10), (2, 6), region=True)
    choice = drive(truth_steps(source(labels()), target))
    np.testing.assert_array_equal(choice.labels, labels()[2:10, 6:16])
    assert "cut to the run's region" in choice.notes[0]


def test_a_run_over_the_whole_image_takes_no_larger_labels() -> None:
    choice = drive(truth_steps(source(labels()), Target((8, 10))))
    assert "20 x 30 pixels, the run 8 x 10" in choice.error


def test_labels_that_know_their_place_are_cut_there() -> None:
    target = Target((8, 10), (102, 206), region=True)
    choice = drive(truth_steps(source(labels(), (100, 200)), target))
    np.testing.assert_array_equal(choice.labels, labels()[2:10, 6:16])


@pytest.mark.parametrize("origin", [(5, 0), (0, 7), (0, -20)])
def test_labels_of_the_same_size_elsewhere_are_refused(origin: tuple[int, int]) -> None:
    choice = drive(truth_steps(source(labels(), origin), Target((20, 30), (0, 0), region=True)))
    assert choice.labels is None
    assert f"from row {origin[0]}, column {origin[1]}" in choice.error


def test_what_has_not_changed_stays() -> None:
    target = Target((20, 30))
    first = drive(truth_steps(source(labels()), target))
    assert drive(truth_steps(source(labels()), target, first)) is first
    painted = labels()
    painted[15, 15] = 3
    again = drive(truth_steps(source(painted), target, first))
    assert again is not first
    assert again.labels[15, 15] == 3
    wrong = drive(truth_steps(source(labels()[1:]), target, first))
    assert drive(truth_steps(source(labels()[1:]), target, wrong)) is wrong
    assert drive(truth_steps(source(labels()), target, wrong)) is not wrong


def test_a_file_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "truth.npy", labels().astype(np.uint16))
    choice = drive(truth_steps(file_source(str(tmp_path / "truth.npy")), Target((20, 30))))
    assert choice.name == "truth.npy"
    np.testing.assert_array_equal(choice.labels, labels())


def test_a_file_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    choice = drive(truth_steps(file_source(str(tmp_path / "truth.png")), Target((20, 30))))
    assert "is not there" in choice.error


def test_outlines_of_the_whole_image_are_cut_to_a_region(tmp_path: Path) -> None:
    contour = "[[3,3],[3,8],[8,8],[8,3]]"
    (tmp_path / "nuclei.json").write_text(
        '{"mag": null, "nuc": {"5": {"bbox": [[3,3],[9,9]], "centroid": [5.5,5.5], '
        f'"contour": {contour}, "type": 0, "type_prob": 0.0}}}}}}'
    )
    path = str(tmp_path / "nuclei.json")
    whole = drive(truth_steps(file_source(path), Target((20, 30))))
    np.testing.assert_array_equal(whole.labels, np.where(labels() == 1, 5, 0))
    part = drive(truth_steps(file_source(path), Target((8, 10), (2, 6), region=True)))
    np.testing.assert_array_equal(part.labels, np.where(labels() == 1, 5, 0)[2:10, 6:16])
