"""Crops that are augmented, and what comes back of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import HVConvention, convert, hv_targets
from ..inference.images import UInt8
from ..synthetic import tissue
from ..types import Float32, Int32
from .augment_limits import AugmentationLimits
from .bench import Bench, busiest
from .setup import Setup

FIRST_ID, ID_STEP = 301, 4
"""Ids of the nuclei of a probe: sparse, so that interpolation makes ids that were not there."""
N_TYPES = 5
RESULT_NAMES = {"labels": ("mask", "labels", "label"), "image": ("image",), "hv": ("hv",)}


@dataclass(frozen=True, eq=False)
class Probe:
    """A crop that goes into an augmentation.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    labels : int32 (H, W)
        With sparse ids.
    types : int32 (H, W)
    outward : float32 (2, H, W)
        HV, [H, V] outward.
    convention : HVConvention
        Order and sign in which HV is handed over.
    seed : int
    """

    image: UInt8
    labels: Int32
    types: Int32
    outward: Float32
    convention: HVConvention
    seed: int = 0

    @property
    def hv(self) -> Float32:
        """HV as it is handed over."""
        return self.stored_of(self.outward)

    def stored_of(self, hv: Float32) -> Float32:
        """Write HV as it is stored."""
        return convert(hv, HVConvention(), self.convention)

    def read(self, hv: Float32) -> Float32:
        """Read stored HV as [H, V] outward."""
        return convert(hv, self.convention, HVConvention())


@dataclass(frozen=True, eq=False)
class Drawn:
    """What came back of one draw.

    Parameters
    ----------
    image : array (H, W, C)
    labels : array (H, W)
        Of any type.
    hv : float array (2, H, W)
        In the convention it was handed over in.
    types : array (H, W), optional
    """

    image: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    hv: Float32
    types: npt.NDArray[Any] | None = None

    @classmethod
    def unchanged(cls, probe: Probe) -> Drawn:
        """Return a probe as it is."""
        return cls(probe.image, probe.labels, probe.hv, probe.types)


def probes_of(bench: Bench, limits: AugmentationLimits) -> list[Probe]:
    """Cut crops of the case's images, or make synthetic ones where there are none."""
    found: list[Probe] = []
    for index in bench.indices:
        if len(found) == limits.n_probes:
            break
        item = bench.item(index)
        if item is None or item.image is None or item.labels is None:
            continue
        if item.image.shape[:2] != item.labels.shape:
            continue
        r0, r1, c0, c1 = busiest(item, item.labels.shape, limits.edge)
        if min(r1 - r0, c1 - c0) < limits.least_edge:
            continue
        edge = min(r1 - r0, c1 - c0)
        box = (slice(r0, r0 + edge), slice(c0, c0 + edge))
        probe = probe_of(item.image[box], item.labels[box], bench.setup, index)
        if _good(probe, limits):
            found.append(probe)
    return found or synthetic_probes(bench.setup, limits)


def synthetic_probes(setup: Setup, limits: AugmentationLimits) -> list[Probe]:
    """Make crops of synthetic tissue; always the same."""
    made = [tissue((limits.edge, limits.edge), seed=seed) for seed in range(2)]
    return [probe_of(t.image, t.labels, setup, seed) for seed, t in enumerate(made)]


def probe_of(image: UInt8, labels: Int32, setup: Setup, seed: int) -> Probe:
    """Make a probe of an image and its nuclei."""
    ids = np.unique(labels)
    dense = np.searchsorted(ids, labels)
    has_zero = bool(ids.size and ids[0] == 0)
    dense = dense if has_zero else dense + 1
    sparse = np.where(dense > 0, FIRST_ID + ID_STEP * (dense - 1), 0).astype(np.int32)
    types = np.where(dense > 0, dense % N_TYPES + 1, 0).astype(np.int32)
    claimed = HVConvention(order=setup.target_order, sign=setup.target_sign)
    pixels = np.ascontiguousarray(image)
    return Probe(pixels, sparse, types, hv_targets(sparse), claimed, seed)


def _good(probe: Probe, limits: AugmentationLimits) -> bool:
    ids, areas = np.unique(probe.labels[probe.labels > 0], return_counts=True)
    blank = float(probe.image.std()) < 1.0
    return (
        int((areas >= limits.least_area).sum()) >= limits.least_nuclei
        and not blank
        and bool(len(ids))
    )


def as_planes(made: Any, name: str) -> Drawn:
    """Bring what an augmentation returned into one form.

    Raises
    ------
    InputError
        If something is missing, or the sizes differ.
    """
    if isinstance(made, Mapping):
        parts = {n: _named(made, names, name) for n, names in RESULT_NAMES.items()}
        types = made.get("types")
    elif isinstance(made, (tuple, list)) and len(made) >= 3:
        parts = dict(zip(("image", "labels", "hv"), made, strict=False))
        types = made[3] if len(made) > 3 else None
    else:
        raise InputError(
            f"The augmentation {name} returned a {type(made).__name__}; return (image, labels, "
            "hv), or a dict with image, mask and hv."
        )
    labels = np.squeeze(as_array(parts["labels"]))
    image, hv = as_array(parts["image"]), as_array(parts["hv"])
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[1:] == labels.shape:
        image = np.moveaxis(image, 0, -1)
    if hv.ndim == 3 and hv.shape[-1] == 2 and hv.shape[:2] == labels.shape:
        hv = np.moveaxis(hv, -1, 0)
    if labels.ndim != 2 or hv.shape != (2, *labels.shape) or image.shape[:2] != labels.shape:
        raise InputError(
            f"The augmentation {name} returned image {image.shape}, labels {labels.shape} and hv "
            f"{hv.shape}; they must be of one size."
        )
    kinds = None if types is None else np.squeeze(as_array(types))
    return Drawn(image, labels, np.ascontiguousarray(hv, np.float32), kinds)


def as_array(given: Any) -> npt.NDArray[Any]:
    """Return an array of an array or tensor."""
    plain = given.detach().cpu().numpy() if hasattr(given, "detach") else given
    return np.asarray(plain)


def _named(made: Mapping[str, Any], names: tuple[str, ...], of: str) -> Any:
    for name in names:
        if name in made:
            return made[name]
    raise InputError(f"The augmentation {of} returned a dict without {names[0]!r}.")
