"""Image and labels move together, and HV follows from the labels."""

from itertools import product

import numpy as np
import pytest

from napari_hovernet.core.data import samples
from napari_hovernet.core.hv import ORDERS, PRESETS, SCALES, SIGNS, HVConvention, hv_targets
from napari_hovernet.core.params import AugmentParams
from napari_hovernet.core.training.crops import (
    STAINS,
    Move,
    augment_image,
    cut_crop,
    draw_move,
    turned,
)
from napari_hovernet.errors import InputError

from ..data.drawn import nuclei


def painted(labels: np.ndarray) -> samples.SampleArrays:
    """An image whose pixels show their label, 3 times brighter than its number."""
    grey = (labels * 3).astype(np.uint8)
    return samples.SampleArrays(
        image=np.stack([grey] * 3, axis=2), labels=labels, types=(labels > 0) * 2
    )


@pytest.mark.parametrize("turn", samples.TURNS, ids=str)
def test_a_plain_move_keeps_every_pixel(turn: samples.Turn) -> None:
    arrays = painted(nuclei())
    crop, valid = cut_crop(arrays, 48, Move(turn), np.random.default_rng(3))
    assert crop.image.shape == (48, 48, 3)
    assert crop.labels.shape == valid.shape == (48, 48) and valid.all()
    assert (crop.image[..., 0] == crop.labels * 3).all()
    assert (crop.types == (crop.labels > 0) * 2).all()
    straight, _ = cut_crop(arrays, 48, Move(), np.random.default_rng(3))
    assert (samples.turn_plane(straight.labels, turn) == crop.labels).all()


@pytest.mark.parametrize("move", [Move(), Move(angle=30.0, scale=1.1)], ids=["plain", "warped"])
def test_beyond_the_image_labels_end_and_valid_says_so(move: Move) -> None:
    labels = np.ones((20, 30), np.int32)
    arrays = samples.SampleArrays(image=np.full((20, 30, 3), 200, np.uint8), labels=labels)
    crop, valid = cut_crop(arrays, 64, move, np.random.default_rng(0))
    assert ((crop.labels == 1) == (valid == 1)).all()
    assert valid.sum() == pytest.approx(600 * move.scale**2, rel=0.06)
    assert (crop.image == 200).all(), "mirrored, never black"


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.25), (17.0, 1.0), (-45.0, 0.5), (30.0, 1.5)])
def test_a_warped_image_and_its_labels_stay_together(angle: float, scale: float) -> None:
    labels = np.kron(nuclei(1), np.ones((3, 3), np.int32))
    arrays = painted(labels)
    same, total = 0, 0
    for seed in range(6):
        move = Move(samples.TURNS[seed], angle, scale)
        crop, valid = cut_crop(arrays, 64, move, np.random.default_rng(seed))
        off = np.abs(crop.image[..., 0].astype(int) - 3 * crop.labels) <= 2
        inner = valid == 1
        same, total = same + int((off & inner).sum()), total + int(inner.sum())
        assert set(np.unique(crop.labels)) <= set(np.unique(labels)), "no id is made up"
    assert same / total > 0.75, "only rims differ, where the image is smooth"


def test_a_warp_matches_the_matrix() -> None:
    """A single bright square lands where the matrix says."""
    image = np.zeros((101, 101, 3), np.uint8)
    image[48:53, 68:73] = 255
    arrays = samples.SampleArrays(image=image, labels=(image[..., 0] > 0).astype(np.int32))
    move = Move(samples.Turn(flip=True), angle=20.0, scale=1.2)
    size = 121  # the whole image fits, so it is centred
    crop, _ = cut_crop(arrays, size, move, np.random.default_rng(0))
    x, y = move.matrix @ (20.0, 0.0) + (size - 1) / 2
    rows, cols = np.nonzero(crop.labels)
    assert (cols.mean(), rows.mean()) == (pytest.approx(x, abs=0.3), pytest.approx(y, abs=0.3))
    weights = crop.image[..., 0].astype(float)
    assert (weights.sum(axis=0) @ np.arange(size)) / weights.sum() == pytest.approx(x, abs=0.3)


def test_stored_hv_turns_with_its_pixels() -> None:
    labels = nuclei(2)
    arrays = samples.SampleArrays(
        image=np.zeros((*labels.shape, 3), np.uint8),
        np_target=(labels > 0).astype(np.uint8),
        hv_target=hv_targets(labels),
        nt_target=(labels > 0) * 3,
    )
    for turn in samples.TURNS:
        made = turned(arrays, turn)
        wanted = hv_targets(np.ascontiguousarray(samples.turn_plane(labels, turn)))
        assert np.abs(made.hv_target - wanted).max() < 2e-6
        assert (made.nt_target == made.np_target * 3).all()


def test_what_is_drawn_follows_the_parameters() -> None:
    rng = np.random.default_rng(0)
    moves = [draw_move(AugmentParams(scale=(0.5, 2.0)), rng) for _ in range(4000)]
    scales = np.log([m.scale for m in moves])
    assert np.abs(scales).max() <= np.log(2) + 1e-9
    assert abs(scales.mean()) < 0.03, "as often smaller as larger"
    assert np.mean([m.angle != 0 for m in moves]) == pytest.approx(0.5, abs=0.03)
    counts = [sum(m.turn == turn for m in moves) for turn in samples.TURNS]
    assert min(counts) > 400
    assert all(draw_move(AugmentParams(on=False), rng) == Move() for _ in range(9))
    moves = [draw_move(AugmentParams(), rng, free=False) for _ in range(50)]
    assert {(move.angle, move.scale) for move in moves} == {(0.0, 1.0)}
    fixed = AugmentParams(flips=False, p_rotate=0.0, scale=(1.0, 1.0))
    assert draw_move(fixed, rng) == Move()


def tissue(edge: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    stains = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
    amount = rng.uniform(0.1, 0.8, (edge, edge, 2))
    return (255 * np.exp(-amount @ stains)).astype(np.uint8)


def only(**strengths: object) -> AugmentParams:
    plain = {"p_stain": 0.0, "p_tone": 0.0, "p_blur": 0.0, "p_noise": 0.0, "p_jpeg": 0.0}
    return AugmentParams(**{**plain, **strengths})


@pytest.mark.parametrize("name", ["p_stain", "p_tone", "p_blur", "p_noise", "p_jpeg"])
def test_each_step_changes_the_look_and_leaves_the_input(name: str) -> None:
    image = tissue()
    before = image.copy()
    made = augment_image(image, only(**{name: 1.0}), np.random.default_rng(1))
    assert (image == before).all() and (made.dtype, made.shape) == (np.uint8, image.shape)
    difference = np.abs(made.astype(int) - image)
    assert 0.5 < difference.mean() < 80
    assert np.corrcoef(made.ravel(), image.ravel())[0, 1] > 0.4, "still the same tissue"


def test_white_stays_bright_and_black_stays_finite() -> None:
    params = AugmentParams(p_stain=1, p_tone=1)
    for value in (0, 255):
        image = np.full((16, 16, 3), value, np.uint8)
        for seed in range(30):
            made = augment_image(image, params, np.random.default_rng(seed))
            assert made.mean() > 150 if value else made.mean() < 105


EXACT = [
    HVConvention(order=order, sign=sign, scale=scale, blur=blur)
    for order, sign, scale, blur in product(ORDERS, SIGNS, SCALES, (0.0, 1.0))
]
"""Conventions in which nothing prefers a corner: 24."""


@pytest.mark.parametrize("turn", samples.TURNS, ids=str)
@pytest.mark.parametrize("convention", EXACT, ids=str)
def test_hv_of_turned_labels_is_the_turned_hv(turn: samples.Turn, convention: HVConvention) -> None:
    labels = nuclei()
    recomputed = hv_targets(np.ascontiguousarray(samples.turn_plane(labels, turn)), convention)
    turned = samples.turn_hv(hv_targets(labels, convention), turn, convention.order)
    assert np.abs(recomputed - turned).max() < 2e-6


@pytest.mark.parametrize("turn", samples.TURNS, ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_agree_but_for_their_own_lopsidedness(turn: samples.Turn, name: str) -> None:
    """One pixel of shift, gaps at two borders and ties of the deepest pixel do not turn."""
    convention, labels = PRESETS[name], nuclei()
    recomputed = hv_targets(np.ascontiguousarray(samples.turn_plane(labels, turn)), convention)
    turned = samples.turn_hv(hv_targets(labels, convention), turn, convention.order)
    lengths = np.hypot(*recomputed) * np.hypot(*turned)
    use = lengths > 0.04
    cosine = (recomputed * turned).sum(axis=0)[use] / lengths[use]
    assert cosine.mean() > 0.8, "with a wrong order it would be near 0 or below"


def test_the_bug_of_the_story_cancels_hv_out() -> None:
    """[V, H] turned by the rules of [H, V]: right in half of the draws, on average nothing."""
    labels, convention = nuclei(), HVConvention(order="vh")
    stored = hv_targets(labels, convention)
    cosines = []
    for turn in samples.TURNS:
        true = hv_targets(np.ascontiguousarray(samples.turn_plane(labels, turn)), convention)
        wrong = samples.turn_hv(stored, turn, "hv")
        cosines.append(float((true * wrong).sum() / (true * true).sum()))
    assert sum(c > 0.999 for c in cosines) == 4 and abs(np.mean(cosines)) < 1e-6


def test_all_eight_turns_agree_with_matrices_and_what_is_none_is_refused() -> None:
    plane = np.arange(25).reshape(5, 5)
    assert len({samples.turn_plane(plane, turn).tobytes() for turn in samples.TURNS}) == 8
    rows, cols = np.mgrid[-2:3, -2:3]
    for turn in samples.TURNS:
        offsets = np.stack([cols.ravel(), rows.ravel()])
        x, y = np.rint(turn.matrix @ offsets).astype(int)
        moved = np.zeros_like(plane)
        moved[y + 2, x + 2] = plane.ravel()
        assert (moved == samples.turn_plane(plane, turn)).all()
    grid = np.arange(256).reshape(16, 16)
    features = np.concatenate((np.full(5, -1), grid.ravel())).astype(np.float16)[:, None]
    for turn in samples.TURNS:
        turned = samples.turn_tokens(features, turn)
        assert turned.dtype == np.float16 and (turned[:5] == -1).all()
        assert (turned[5:].reshape(16, 16) == samples.turn_plane(grid, turn)).all()
    with pytest.raises(InputError, match="quarters is 4"):
        samples.Turn(quarters=4)
    with pytest.raises(InputError, match="order is 'xy'"):
        samples.turn_hv(np.zeros((2, 3, 3), np.float32), samples.TURNS[1], "xy")
