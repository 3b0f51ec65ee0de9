"""Everything that is to be learned from, out of whatever the user named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..inference.images import as_source
from ..measure.compare import check_truth
from ..params import DataParams
from .items import Haul, joined, listed
from .kinds import (
    check_family,
    find_families,
    find_folds,
    patch_files,
    read_family,
    read_folds,
    read_patches,
)
from .pairs import INDEX_NAME, read_pairs
from .samples import LoadedData, Sample, split_samples

NEEDS = ("image", "tokens")


def load_samples(data: DataParams, *, needs: str = "image", seed: int = 0) -> LoadedData:
    """Read or list all samples and divide them into training and validation.

    Images with label files are read into memory; PanNuke folds, patches and family files stay on
    the disk and are read sample by sample.
    """
    if needs not in NEEDS:
        raise InputError(f"needs is {needs!r}; choose one of {', '.join(NEEDS)}.")
    if not data.sources:
        raise InputError(
            "No training data is named; give a folder of images with labels, an index.csv, "
            "PanNuke folds, patches, or family .npz files."
        )
    family = check_family(data.family)
    haul = joined(_read(Path(source), data, needs, family) for source in data.sources)
    if not haul.samples:
        raise InputError(_nothing(haul, data))
    samples = _unique_names(haul.samples)
    division = split_samples(samples, data.val_fraction, seed)
    return LoadedData(
        train=division.train,
        val=division.val,
        notes=(*haul.notes, *division.notes),
        problems=haul.problems,
        faults=haul.faults,
        split_words=division.words,
    )


def samples_from_arrays(
    image: Any, labels: npt.ArrayLike, name: str = "image", *, mpp: float | None = None
) -> Sample:
    """Make a sample of an image and its labels in memory.

    ``labels`` array (H, W).
    """
    try:
        source = as_source(image)
        height, width = source.shape
        truth = check_truth(labels, source.shape)
        pixels = np.ascontiguousarray(source.read(0, height, 0, width))
    except InputError as error:
        text = str(error).replace("The truth", "the labels").replace("the run", "the image")
        raise InputError(f"{name}: {text}") from error
    return Sample(name, mpp=mpp, image=pixels, labels=truth.labels)


def _read(path: Path, data: DataParams, needs: str, family: str) -> Haul:
    """Read one place by what lies there."""
    if not path.exists():
        raise InputError(f"{path} is not there; was it moved? Check the path.")
    if path.suffix.lower() == ".npz" and not find_families(path, family):
        raise InputError(_not_family(path, family))
    if needs == "tokens":
        return _read_tokens(path, data, family)
    if path.is_dir() and (path / INDEX_NAME).is_file():
        return read_pairs(path)
    if folds := find_folds(path):
        return read_folds(folds, family)
    if path.suffix.lower() == ".npy" or (path.is_dir() and patch_files(path)):
        return read_patches(path)
    if families := find_families(path, family):
        return joined(read_family(f, needs, data.hv_convention) for f in families)
    return read_pairs(path)


def _read_tokens(path: Path, data: DataParams, family: str) -> Haul:
    families = [f for f in find_families(path, family) if f.features is not None]
    if not families:
        raise InputError(
            f"{path} holds no tokens{f' of the family {family!r}' if family else ''}, and this "
            "network takes tokens of a frozen encoder: FAMILY_features.npz beside "
            "FAMILY_targets.npz. To train on images choose another network."
        )
    return joined(read_family(f, "tokens", data.hv_convention) for f in families)


def _not_family(path: Path, family: str) -> str:
    if family and find_families(path):
        return f"{path} is not of the family {family!r}; leave the family out, or name its file."
    return (
        f"{path.name} is not named as family files are: FAMILY_features.npz, FAMILY_targets.npz "
        "or FAMILY_data_FIXED.npz."
    )


def _nothing(haul: Haul, data: DataParams) -> str:
    where = listed(data.sources)
    if haul.problems:
        return f"Nothing in {where} can be used: {'; '.join(haul.problems[:3])}"
    return f"{where}: there is nothing to train on ({'; '.join(haul.notes) or 'no image'})."


def _unique_names(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Give samples of several places names of their own."""
    twice = {name for name, n in Counter(s.name for s in samples).items() if n > 1}
    if not twice:
        return samples
    seen: Counter[str] = Counter()
    made = []
    for sample in samples:
        seen[sample.name] += 1
        number = seen[sample.name]
        several = sample.name in twice and number > 1
        made.append(sample.renamed(f"{sample.name} ({number})") if several else sample)
    return tuple(made)


__all__ = ["load_samples", "samples_from_arrays"]
