"""Where the instances of a separation lie, whatever they are: on the nuclei, beside, around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..types import Bool, Int32

FITS = 0.7
"""IoU from which on a mask is where it should be."""
LEAD = 0.2
"""IoU by which another place has to be better."""
EVERYWHERE = 0.95
"""Share of an image from which on all of it is taken."""
FULL = (0.85, 1.18)
"""Share of the pixels of nuclei that instances have if outlines are in order."""
TURNS = {
    "flipped left to right": (slice(None), slice(None, None, -1)),
    "flipped top to bottom": (slice(None, None, -1), slice(None)),
    "turned by 180 degrees": (slice(None, None, -1), slice(None, None, -1)),
}


@dataclass(frozen=True)
class MaskFit:
    """How the union of instances lies on the union of nuclei.

    Parameters
    ----------
    iou : float
        As it is.
    inverse : float
        IoU with the background.
    shift : (int, int)
        Rows and columns by which it was moved, as far as one can tell.
    shifted : float
        IoU once that is undone.
    turn : str
        How it was turned, of :data:`TURNS`, as far as one can tell.
    turned : float
        IoU once that is undone.
    cover : float
        Its pixels by those of the nuclei.
    share : float
        Its pixels by those of the image.
    """

    iou: float
    inverse: float = 0.0
    shift: tuple[int, int] = (0, 0)
    shifted: float = 0.0
    turn: str = ""
    turned: float = 0.0
    cover: float = 1.0
    share: float = 0.0

    @property
    def words(self) -> str:
        """What is wrong, a few words; "" if nothing is."""
        found = self._elsewhere()
        if found:
            return found
        if self.cover and not FULL[0] <= self.cover <= FULL[1]:
            return "too small" if self.cover < 1 else "too large"
        return ""

    def _elsewhere(self) -> str:
        """Where they lie instead, "" if they lie where they should."""
        if self.iou >= FITS:
            return ""
        if self.share >= EVERYWHERE:
            return "everywhere"
        least = max(FITS, self.iou + LEAD)
        if self.inverse >= least:
            return "background"
        if self.shifted >= least:
            return f"moved by {self.shift[0]} rows and {self.shift[1]} columns"
        return self.turn if self.turned >= least else ""

    @property
    def elsewhere(self) -> bool:
        """Whether instances lie where there are no nuclei."""
        return bool(self._elsewhere())


def mask_fit(truth: Int32, found: Int32) -> MaskFit:
    """Hold the union of instances against the union of nuclei.

    Examples
    --------
    >>> truth = np.array([[1, 1, 0, 0, 0]])
    >>> mask_fit(truth, np.array([[0, 0, 1, 1, 1]])).words
    'background'
    """
    nuclei, mask = truth > 0, found > 0
    iou = _iou(nuclei, mask)
    cover = float(mask.sum() / max(nuclei.sum(), 1))
    if iou >= FITS or not mask.any():
        return MaskFit(iou, cover=cover)
    shift = _shift(nuclei, mask)
    turned = {name: _iou(nuclei, mask[turn]) for name, turn in TURNS.items()}
    turn = max(turned, key=lambda name: turned[name])
    return MaskFit(
        iou,
        _iou(~nuclei, mask),
        shift,
        _iou(nuclei, np.roll(mask, (-shift[0], -shift[1]), (0, 1))),
        turn,
        turned[turn],
        cover,
        float(mask.mean()),
    )


def _iou(first: Bool, second: Bool) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))


def _shift(image: Bool, moved: Bool) -> tuple[int, int]:
    """Find the rows and columns by which a mask was moved, the shorter way round."""
    first, second = (np.fft.rfft2(x.astype(np.float64)) for x in (image, moved))
    match: npt.NDArray[np.float64] = np.fft.irfft2(second * np.conj(first), image.shape)
    at = np.unravel_index(int(match.argmax()), match.shape)
    row, column = (
        int(k) if k <= n // 2 else int(k) - n for k, n in zip(at, image.shape, strict=True)
    )
    return row, column
