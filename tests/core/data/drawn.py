"""Nuclei drawn for tests."""

import numpy as np


def nuclei(seed: int = 0) -> np.ndarray:
    """Nuclei of many shapes, touching ones among them, in a frame that is not square."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((61, 83), np.int32)
    rows, cols = np.mgrid[:61, :83]
    for i in range(1, 14):
        r, c, a, b = rng.uniform((5, 5, 3, 4), (56, 78, 9, 11))
        turn = rng.uniform(0, np.pi)
        u = (cols - c) * np.cos(turn) + (rows - r) * np.sin(turn)
        v = (rows - r) * np.cos(turn) - (cols - c) * np.sin(turn)
        labels[((u / a) ** 2 + (v / b) ** 2 < 1) & (labels == 0)] = i
    return labels
