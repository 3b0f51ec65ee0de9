"""Colour, blur, noise and JPEG of crops."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.params import AugmentParams
from napari_hovernet.core.training.crops import STAINS, augment_image, stain_matrix

NOTHING = AugmentParams(p_stain=0, p_tone=0, p_blur=0, p_noise=0, p_jpeg=0)


def tissue(edge: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    stains = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
    amount = rng.uniform(0.1, 0.8, (edge, edge, 2))
    return (255 * np.exp(-amount @ stains)).astype(np.uint8)


def only(**strengths: object) -> AugmentParams:
    plain = {"p_stain": 0.0, "p_tone": 0.0, "p_blur": 0.0, "p_noise": 0.0, "p_jpeg": 0.0}
    return AugmentParams(**{**plain, **strengths})


def test_nothing_drawn_is_nothing_changed() -> None:
    image = tissue()
    for seed in range(5):
        assert augment_image(image, NOTHING, np.random.default_rng(seed)) is image


@pytest.mark.parametrize("name", ["p_stain", "p_tone", "p_blur", "p_noise", "p_jpeg"])
def test_each_step_changes_the_look_and_leaves_the_input(name: str) -> None:
    image = tissue()
    before = image.copy()
    made = augment_image(image, only(**{name: 1.0}), np.random.default_rng(1))
    assert (image == before).all()
    assert made.dtype == np.uint8
    assert made.shape == image.shape
    difference = np.abs(made.astype(int) - image)
    assert 0.5 < difference.mean() < 80
    assert np.corrcoef(made.ravel(), image.ravel())[0, 1] > 0.4, "still the same tissue"


def test_the_draw_depends_on_the_generator_alone() -> None:
    image, params = tissue(), AugmentParams()
    first, again, other = (
        augment_image(image, params, np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_stain_gain_is_a_factor_of_that_stain_alone() -> None:
    """With the vectors kept, each stain keeps its direction in optical density."""
    params = AugmentParams(stain_vectors=0.0, stain_gain=(0.6, 1.5))
    for seed in range(20):
        matrix, offset = stain_matrix(params, np.random.default_rng(seed))
        for stain in np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True):
            made = matrix @ stain
            gain = np.linalg.norm(made)
            assert 0.6 <= gain <= 1.5
            assert made / gain == pytest.approx(stain, abs=1e-9)
        assert np.abs(offset).max() < 0.11


def test_stain_vectors_move_a_little_and_stay_absorbing() -> None:
    params = AugmentParams(stain_vectors=0.05, stain_gain=(1.0, 1.0))
    stains = np.array(STAINS) / np.linalg.norm(STAINS, axis=1, keepdims=True)
    turned = []
    for seed in range(50):
        matrix, _ = stain_matrix(params, np.random.default_rng(seed))
        made = (matrix @ stains.T).T
        assert made.min() > 0
        turned += [float(a @ b / np.linalg.norm(a)) for a, b in zip(made, stains, strict=True)]
    assert min(turned) > 0.95
    assert np.mean(turned) < 0.9999


def test_white_stays_bright_and_black_stays_finite() -> None:
    for value in (0, 255):
        image = np.full((16, 16, 3), value, np.uint8)
        for seed in range(30):
            made = augment_image(
                image, AugmentParams(p_stain=1, p_tone=1), np.random.default_rng(seed)
            )
            assert made.mean() > 150 if value else made.mean() < 105


def test_noise_has_no_offset() -> None:
    image = np.full((128, 128, 3), 128, np.uint8)
    made = augment_image(image, only(p_noise=1.0), np.random.default_rng(0))
    assert made.mean() == pytest.approx(128, abs=0.3)
    assert 1.5 < made.std() < 11
