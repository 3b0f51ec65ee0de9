"""Stains in optical density: a basis per image (Macenko 2009), strengths, other stains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Stain vectors in optical density (Ruifrok & Johnston 2001): haematoxylin, eosin, DAB.
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)
EOSIN = np.array([0.07, 0.99, 0.11], np.float32)
DAB = np.array([0.27, 0.57, 0.78], np.float32)
TISSUE = 0.15
"""Optical density, mean of the channels, below which a pixel is not tissue."""
TAIL = 1.0
"""Per cent of the angles beyond a stain's own."""
TOP = 99.0
"""Percentile of the concentrations that stands for a stain's strength."""


@dataclass(frozen=True, eq=False)
class Stain:
    """Rows haematoxylin and eosin as unit vectors (2, 3), and their strengths (2,)."""

    vectors: np.ndarray
    strength: np.ndarray


def unit(vector: np.ndarray) -> np.ndarray:
    """Scale to length 1."""
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


STANDARD = Stain(np.stack([unit(HAEMATOXYLIN), unit(EOSIN)]), np.array([1.0, 0.8], np.float32))


def density(rgb: np.ndarray) -> np.ndarray:
    """Optical density (N, 3) of RGB 0..255."""
    flat = np.clip(rgb.reshape(-1, 3).astype(np.float32), 1, 255)
    return np.asarray(-np.log(flat / np.float32(255)), np.float32)


def measure(rgb: np.ndarray) -> Stain:
    """Find an image's two stains; the standard ones where there is too little tissue."""
    od = density(rgb[::2, ::2])
    od = od[od.mean(axis=1) > TISSUE]
    if len(od) < 500:
        return STANDARD
    _, axes = np.linalg.eigh(np.cov(od.T))
    plane = axes[:, [2, 1]] * np.sign(axes[:, [2, 1]].sum(axis=0) + 1e-9)
    angles = np.arctan2(*(od @ plane)[:, ::-1].T)
    ends = (np.percentile(angles, q) for q in (TAIL, 100 - TAIL))
    pair = [np.clip(plane @ (np.cos(a), np.sin(a)), 0.01, None) for a in ends]
    pair.sort(key=lambda v: -v[0] / v.sum())  # haematoxylin takes more of the red
    vectors = np.stack([unit(v) for v in pair])
    if vectors[0] @ vectors[1] > 0.985:  # one stain only
        return STANDARD
    amounts = od @ np.linalg.inv(basis_of(vectors))
    strength = np.percentile(amounts[:, :2], TOP, axis=0).clip(0.15, 3)
    return Stain(vectors, strength.astype(np.float32))


def basis_of(vectors: np.ndarray) -> np.ndarray:
    """Complete two stain vectors to three rows; the third is what neither explains."""
    return np.vstack([vectors, unit(np.cross(vectors[0], vectors[1]))[None]]).astype(np.float32)


def unmix(rgb: np.ndarray, stain: Stain) -> np.ndarray:
    """Amounts (N, 3) of haematoxylin, eosin and the rest."""
    return np.asarray(density(rgb) @ np.linalg.inv(basis_of(stain.vectors)), np.float32)


def remix(amounts: np.ndarray, basis: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Float RGB 0..255 of amounts of the rows of ``basis``."""
    od = amounts @ basis.astype(np.float32)
    return (255.0 * np.exp(-np.clip(od, 0, 6))).reshape(shape).astype(np.float32)


def between(stains: list[Stain], rng: np.random.Generator, noise: float) -> Stain:
    """Draw a stain between two real ones, a little off both."""
    a, b = (stains[int(rng.integers(len(stains)))] for _ in range(2))
    share = rng.random()
    vectors = share * a.vectors + (1 - share) * b.vectors + rng.normal(0, noise, (2, 3))
    strength = a.strength**share * b.strength ** (1 - share)
    return Stain(np.stack([unit(v) for v in np.clip(vectors, 0.01, None)]), strength)
