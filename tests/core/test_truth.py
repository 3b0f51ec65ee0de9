"""Labels as people bring them: every dtype and shape, and what is odd about them in words."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.compare import TruthParams, check_truth
from napari_hovernet.errors import InputError


def two_nuclei(dtype: type = np.int32) -> np.ndarray:
    labels = np.zeros((20, 30), dtype)
    labels[3:9, 3:9], labels[3:9, 9:15] = 1, 2
    return labels


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64])
def test_any_whole_number_dtype_becomes_int32_without_a_note(dtype: type) -> None:
    truth = check_truth(two_nuclei(dtype), (20, 30))
    assert truth.labels.dtype == np.int32
    np.testing.assert_array_equal(truth.labels, two_nuclei())
    assert (truth.n, truth.notes) == (2, ())


def test_the_labels_are_a_copy() -> None:
    labels = two_nuclei()
    truth = check_truth(labels, (20, 30))
    labels[:] = 9
    assert truth.labels.max() == 2


def test_whole_floats_are_read_with_a_note() -> None:
    truth = check_truth(two_nuclei(np.float32), (20, 30))
    np.testing.assert_array_equal(truth.labels, two_nuclei())
    assert truth.notes == ("The truth is float32, not whole numbers; it was read as such.",)


def test_bool_is_one_id() -> None:
    mask = two_nuclei() > 0
    truth = check_truth(mask, (20, 30))
    assert (truth.n, truth.notes) == (1, ())
    assert truth.labels[4, 4] == 1


def test_ids_with_gaps_are_kept() -> None:
    labels = two_nuclei()
    labels[labels == 2] = 2**31 - 1
    truth = check_truth(labels, (20, 30))
    assert np.unique(truth.labels).tolist() == [0, 1, 2**31 - 1]
    assert (truth.n, truth.notes) == (2, ())


def test_ids_too_large_are_renumbered_with_a_note() -> None:
    labels = two_nuclei(np.uint64)
    labels[labels == 2] = 2**63 + 5
    truth = check_truth(labels, (20, 30))
    np.testing.assert_array_equal(truth.labels, two_nuclei())
    assert len(truth.notes) == 1
    assert "9223372036854775813" in truth.notes[0]
    assert "renumbered" in truth.notes[0]


def test_leading_axes_of_one_are_dropped() -> None:
    assert check_truth(two_nuclei()[None, None], (20, 30)).n == 2


@pytest.mark.parametrize("shape", [(20, 30, 3), (20, 30, 4), (1, 20, 30, 3)])
def test_pictures_in_colour_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="picture in colour"):
        check_truth(np.zeros(shape, np.uint8), (20, 30))


@pytest.mark.parametrize("shape", [(20,), (5, 20, 30)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="give one \\(H, W\\) label image"):
        check_truth(np.zeros(shape, np.uint8), (20, 30))


def test_another_size_names_both_and_the_remedy() -> None:
    with pytest.raises(InputError, match=r"20 x 30 pixels, the run 20 x 31.*at its resolution"):
        check_truth(two_nuclei(), (20, 31))


def test_truth_of_the_whole_image_is_cut_to_the_region() -> None:
    truth = check_truth(two_nuclei(), (8, 10), offset=(2, 6))
    np.testing.assert_array_equal(truth.labels, two_nuclei()[2:10, 6:16])
    assert truth.n == 2
    assert truth.notes == (
        "The truth covers the whole image (20 x 30); it was cut to the run's region "
        "(8 x 10 from row 2, column 6).",
    )


def test_truth_of_the_region_itself_stays() -> None:
    assert check_truth(two_nuclei(), (20, 30), offset=(100, 100)).notes == ()


@pytest.mark.parametrize("offset", [(13, 0), (0, 21), (-1, 0)])
def test_a_region_outside_the_truth_is_refused(offset: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"row {offset[0]}, column {offset[1]}"):
        check_truth(two_nuclei(), (8, 10), offset=offset)


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "1 values that are not finite"), (0.5, "fractions"), (-1.0, "goes down to -1")],
)
def test_values_that_are_no_ids_are_refused(value: float, words: str) -> None:
    labels = two_nuclei(np.float64)
    labels[0, 0] = value
    with pytest.raises(InputError, match=words):
        check_truth(labels, (20, 30))


def test_negative_ids_are_refused() -> None:
    with pytest.raises(InputError, match="goes down to -3"):
        check_truth(np.full((2, 2), -3), (2, 2))


def test_text_is_refused() -> None:
    with pytest.raises(InputError, match="dtype <U1"):
        check_truth(np.array([["a"]]), (1, 1))


@pytest.mark.parametrize("shape", [(4, 4), (0, 4), (0, 0)])
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_empty_truth_is_taken_with_a_note(shape: tuple[int, int], dtype: type) -> None:
    truth = check_truth(np.zeros(shape, dtype), shape)
    assert truth.n == 0
    assert truth.notes[-1] == "The truth holds no nuclei."


def test_one_id_on_two_far_parts_is_named() -> None:
    labels = np.zeros((20, 200), np.int32)
    labels[2:8, 2:8] = labels[2:8, 120:124] = 7
    labels[12:18, 2:8] = 3
    truth = check_truth(labels, (20, 200))
    assert truth.n == 2
    assert truth.notes == (
        "Id 7 lies in 2 parts, 112 px apart; it was counted as one nucleus, as given.",
    )
    assert check_truth(labels, (20, 200), params=TruthParams(far_px=113)).notes == ()


def test_parts_that_touch_at_a_corner_are_not_far() -> None:
    labels = np.kron(np.eye(2, dtype=int), np.ones((5, 5), int))
    assert check_truth(labels, (10, 10), params=TruthParams(far_px=1)).notes == ()


def test_only_some_of_many_far_ids_are_named() -> None:
    labels = np.zeros((60, 300), np.int32)
    for k in range(5):
        labels[10 * k : 10 * k + 4, 0:4] = labels[10 * k : 10 * k + 4, 100 + 30 * k :][:, :4] = (
            k + 1
        )
    notes = check_truth(labels, labels.shape).notes
    assert [note.split()[1] for note in notes[:3]] == ["5", "4", "3"]
    assert notes[3] == "2 more ids lie in parts far from each other."


@pytest.mark.parametrize("n_ids", [1, 3])
def test_a_mask_or_map_of_types_is_called_one(n_ids: int) -> None:
    labels = np.zeros((60, 60), np.int32)
    for k in range(36):
        row, col = 10 * (k // 6), 10 * (k % 6)
        labels[row : row + 5, col : col + 5] = 1 + k % n_ids
    truth = check_truth(labels, (60, 60))
    assert truth.n == n_ids
    assert len(truth.notes) == 1
    assert "looks like a mask" in truth.notes[0]
    assert "36 separate parts" in truth.notes[0]


def test_real_labels_give_no_note(shared) -> None:
    labels = np.load(shared / "golden" / "maps" / "monuseg_49-4488-01.npz")["labels"]
    truth = check_truth(labels, labels.shape)
    assert truth.n == 90
    assert truth.notes == ()


def test_params_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="far_px is -1"):
        TruthParams(far_px=-1)
    with pytest.raises(InputError, match="mask_parts is 1"):
        TruthParams(mask_parts=1)
