"""Separations as users write them: some healthy, most with one mistake."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

HALF = 0.5


def naive(prob, hv):
    """Connected components of the mask."""
    return ndimage.label(prob > HALF)[0]


def _stretched(x):
    return cv2.normalize(x, None, 0, 1, cv2.NORM_MINMAX, dtype=cv2.CV_32F)


def published(prob, hv):
    """The published post-processing, written anew: healthy."""
    mask = ndimage.label(prob >= HALF)[0] > 0
    edges = [
        1 - _stretched(cv2.Sobel(_stretched(hv[k]), cv2.CV_64F, 1 - k, k, ksize=21)) for k in (0, 1)
    ]
    border = np.maximum(*edges) * mask
    energy = -cv2.GaussianBlur((1 - border) * mask, (3, 3), 0)
    seeds = ndimage.binary_fill_holes(mask & (border < 0.4)).astype(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    markers = ndimage.label(cv2.morphologyEx(seeds, cv2.MORPH_OPEN, ellipse))[0]
    return watershed(energy, markers, mask=mask)


def relabelled(prob, hv):
    """The published one, and then the line that merges everything again."""
    return ndimage.label(published(prob, hv) > 0)[0]


def reads_vh(prob, hv):
    """Takes channel 0 for V."""
    return published(prob, hv[::-1].copy())


def reads_inward(prob, hv):
    """Takes HV for centre minus pixel."""
    return published(prob, -hv)


def reads_vh_inward(prob, hv):
    """Written for [V, H] inward."""
    return published(prob, -hv[::-1])


def reads_v_upward(prob, hv):
    """Takes V for pointing up."""
    return published(prob, np.stack([hv[0], -hv[1]]))


def _from_peaks(height, mask, distance=4):
    peaks = peak_local_max(height, min_distance=distance, labels=mask.astype(int))
    markers = np.zeros(height.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-height, markers, mask=mask)


def peaks_of_magnitude(prob, hv):
    """Seeds where |HV| is largest: the rims."""
    mask = prob > HALF
    return _from_peaks(np.hypot(*hv) * mask, mask)


def rims_as_seeds(prob, hv):
    """Seeds where |HV| is above a threshold: the rims, all of a cluster in one."""
    mask = prob > HALF
    length = np.hypot(*hv)
    markers = ndimage.label(mask & (length > 0.8))[0]
    return watershed(-length, markers, mask=mask)


def _gradient(hv):
    smooth = [ndimage.gaussian_filter(channel, 1) for channel in hv]
    return np.maximum(-ndimage.sobel(smooth[0], 1), -ndimage.sobel(smooth[1], 0)) / 8


def absolute_gradient(prob, hv):
    """A threshold on the gradient that fits HV of full length alone."""
    mask, steep = prob > HALF, _gradient(hv)
    return watershed(steep, ndimage.label(mask & (steep <= 0.1))[0], mask=mask)


def absolute_magnitude(prob, hv):
    """A threshold on |HV| that fits HV of full length alone."""
    mask, length = prob > HALF, np.hypot(*hv)
    return watershed(length, ndimage.label(mask & (length < 0.4))[0], mask=mask)


def wants_int8(prob, hv):
    """Written for HV of -127 to 127."""
    return absolute_gradient(prob, hv / 127)


def largest_of_the_tile(prob, hv):
    """A threshold that is a share of the steepest place of the tile."""
    mask, steep = prob > HALF, _gradient(hv)
    steep /= max(steep.max(), 1e-9)
    return watershed(steep, ndimage.label(mask & (steep <= 0.3))[0], mask=mask)


def divergence(prob, hv):
    """Seeds where HV spreads most: healthy."""
    mask = prob > HALF
    spread = np.gradient(hv[0], axis=1) + np.gradient(hv[1], axis=0)
    return _from_peaks(ndimage.gaussian_filter(spread, 3), mask)


def drawn_seeds(prob, hv):
    """Seeds drawn anew each time."""
    mask = prob > HALF
    markers = np.zeros(mask.shape, int)
    there = np.flatnonzero(mask)
    if len(there):
        markers.flat[np.random.default_rng().choice(there, 60)] = np.arange(1, 61)
    return watershed(np.zeros(mask.shape), markers, mask=mask)


def fails_on_empty(prob, hv):
    """Healthy, but for images without nuclei."""
    rows = np.nonzero((prob > HALF).any(1))[0]
    prob[: rows[0]] = 0
    return published(prob, hv)


def always_fails(prob, hv):
    """Never returns."""
    raise RuntimeError("out of cheese")


def only_sure(prob, hv):
    """A threshold of NP that is far too high."""
    mask = prob > 0.93
    return published(mask.astype(np.float32), hv)


def drops_small(prob, hv):
    """Drops what is smaller than 700 pixels."""
    found = published(prob, hv)
    area = np.bincount(found.ravel())
    return np.where(area[found] < 700, 0, found)


def in_crumbs(prob, hv):
    """Cuts every nucleus into squares."""
    rows, cols = np.indices(prob.shape) // 6
    return (prob > HALF) * (1 + rows * (cols.max() + 1) + cols)


def takes_background(prob, hv):
    """Takes NP for the probability of background."""
    return published(1 - prob, hv)


def returns_flipped(prob, hv):
    """Returns the image upside down."""
    return published(prob, hv)[::-1].copy()


def returns_moved(prob, hv):
    """Returns the image moved by a padding that was not cut off."""
    return np.roll(published(prob, hv), (6, 6), (0, 1))


def eroded(prob, hv):
    """Cuts well, and takes two pixels off every nucleus."""
    mask = ndimage.binary_erosion(prob > HALF, iterations=2)
    return published(prob, hv) * mask


def in_a_byte(prob, hv):
    """Returns labels of 8 bits."""
    return published(prob, hv).astype(np.uint8)


def loses_every_other(prob, hv):
    """Cuts well, and drops every other nucleus."""
    found = published(prob, hv)
    return found * (found % 2)
