"""Blocks give what one big image gives, whatever their size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.slides import blocks
from napari_hovernet.core.slides.blocks import BlockResult, Recipe, plan_blocks, segment_block
from napari_hovernet.core.slides.mask import TissueMask, find_tissue
from napari_hovernet.core.slides.params import OFF, SlideParams
from napari_hovernet.core.slides.source import open_slide

from ...refusals import refuses
from .drawn import single_run, stub

RECIPE = Recipe(InferenceParams(tile=64), SeparationParams(), SlideParams(block=128, context=8))


def run(path: Path, edge: int, recipe: Recipe = RECIPE, seen: TissueMask | None = None):
    source = open_slide(path)
    tissue = seen or find_tissue(source, OFF)
    recipe = replace(recipe, slide_params=replace(recipe.slide_params, block=edge))
    plan = plan_blocks(source.shape, edge, tissue)
    return source, [segment_block(stub(), source, b, recipe, tissue) for b in plan]


def together(shape: tuple[int, int], results: list[BlockResult]) -> np.ndarray:
    """Put blocks together as the finish does; each knows what of others reaches into its core."""
    order = np.sort(np.concatenate([r.first for r in results]))
    out, spilled = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    cores = np.zeros(shape, bool)
    for result in results:
        first = np.concatenate([result.first, result.others])
        assert np.isin(first, order).all()
        ids = np.r_[0, np.searchsorted(order, first) + 1].astype(np.int32)
        out[result.block.core.slices()] = ids[result.labels]
        cores[result.block.core.slices()] = True
        spilled.ravel()[result.spill_at] = ids[result.spill_id]
    reached = (spilled > 0) & cores
    np.testing.assert_array_equal(out[reached], spilled[reached])
    return np.where(cores, out, spilled)


@pytest.mark.parametrize("edge", [128, 192, 320])
def test_blocks_give_the_result_of_one_image(slide: Path, image: np.ndarray, edge: int) -> None:
    source, results = run(slide, edge)
    expected, nuclei = single_run(image)
    np.testing.assert_array_equal(together(source.shape, results), expected)
    assert sum(len(r.nuclei) for r in results) == len(nuclei) > 300
    assert max(r.tries for r in results) > 1  # the chain of nuclei
    order = np.argsort(np.concatenate([r.first for r in results]))
    for name in ("bbox", "area", "magnitude_mean", "np_mean"):
        found = np.concatenate([getattr(r.nuclei, name) for r in results])[order]
        np.testing.assert_array_equal(found, getattr(nuclei, name))
    found = np.concatenate([r.nuclei.centroid for r in results])[order]
    np.testing.assert_allclose(found, nuclei.centroid)


def test_what_is_larger_than_the_limit_is_cut_once_by_good_numbers(slide, image, monkeypatch):
    monkeypatch.setattr(blocks, "LARGEST", 120)
    monkeypatch.setattr(blocks, "MOST_CONTEXT", 160)
    source, results = run(slide, 128)
    assert sum(r.cut for r in results) > 1
    whole, _ = single_run(image)
    # no pixel is lost, and none has two owners
    np.testing.assert_array_equal(together(source.shape, results) > 0, whole > 0)
    refuses("multiple of 64", SlideParams, block=100)
    refuses("cannot be cut", plan_blocks, (0, 5), 64)


def test_nuclei_off_the_tissue_are_left_out(slide: Path, image: np.ndarray) -> None:
    source = open_slide(slide)
    cells = np.zeros_like(find_tissue(source, OFF).cells)
    cells[5:15, 3:18] = True
    tissue = TissueMask(cells, find_tissue(source, OFF).step)
    expected, nuclei = single_run(image)
    first = np.array([np.flatnonzero(expected == k)[0] for k in nuclei.label])
    on = cells[first // 700 // tissue.step, first % 700 // tissue.step]
    new = np.zeros(len(nuclei) + 1, np.int32)
    new[1:][on] = np.arange(1, on.sum() + 1)
    for edge in (128, 320):
        _, results = run(slide, edge, seen=tissue)
        np.testing.assert_array_equal(together(source.shape, results), new[expected])
    assert len(plan_blocks(source.shape, 128, tissue)) < len(plan_blocks(source.shape, 128))
