"""Files of the token decoder's families: ``F_features``, ``F_targets``, ``F_data_FIXED`` .npz."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ...hv import HVConvention, compact_ids
from ...io.instances import check_labels
from ..samples import Sample, SampleArrays, SizeError
from ..stored_hv import HVFinding, HVProbe, detect_hv, divisor_of, read_stored, unit_scale
from ..stores import npz_members, open_member
from .haul import Haul
from .patches import eight_bits

ENDINGS = {"features": "_features", "targets": "_targets", "data": "_data_fixed"}
"""What follows the family in a file's name, small letters."""
FEATURE_NAMES = ("features", "layer_24")
"""Names of the tokens, the first that is there."""
AUTO = "auto"
PROBED = 16
"""Samples of a file that are looked at to find out how its HV is meant."""
LARGEST_NP = 1
"""NP targets are 0 and 1."""

ARRAYS = ("features", "image", "inst", "np", "hv", "nt")
"""Fields of :class:`FamilyArrays` that name an array."""

Where = tuple[Path, str]
"""A file and the array in it."""


@dataclass(frozen=True)
class FamilyFiles:
    """Files of one family.

    Parameters
    ----------
    name : str
    features, targets, data : Path or None
    """

    name: str
    features: Path | None = None
    targets: Path | None = None
    data: Path | None = None


@dataclass(frozen=True)
class FamilyArrays:
    """Where each array of a family lies, and how HV is to be read.

    Parameters
    ----------
    features, image, inst, np, hv, nt : (Path, str) or None
    order, sign : str
        Of the stored HV.
    divisor : float
        Of the stored HV.
    """

    features: Where | None = None
    image: Where | None = None
    inst: Where | None = None
    np: Where | None = None
    hv: Where | None = None
    nt: Where | None = None
    order: str = "hv"
    sign: str = "outward"
    divisor: float = 1.0


def find_families(path: Path, family: str = "") -> list[FamilyFiles]:
    """List the families of a folder, or the one a file belongs to.

    Parameters
    ----------
    path : Path
    family : str
        Only this one; "" = all.
    """
    folder = path if path.is_dir() else path.parent
    found: dict[str, FamilyFiles] = {}
    for file in sorted(folder.glob("*.npz")):
        stem = file.stem.lower()
        kind = next((k for k, ending in ENDINGS.items() if stem.endswith(ending)), None)
        if kind is not None:
            name = file.stem[: -len(ENDINGS[kind])]
            files = found.get(name, FamilyFiles(name))
            found[name] = replace(files, **{kind: file})  # type: ignore[arg-type]
    chosen = [f for f in found.values() if not family or f.name.lower() == family]
    if path.is_file():
        chosen = [f for f in chosen if path in (f.features, f.targets, f.data)]
    return chosen


def read_family(files: FamilyFiles, needs: str, convention: str = AUTO) -> Haul:
    """List the samples of a family; each is read when it is needed.

    Arrays in uncompressed files are mapped, compressed ones are held in memory as they are
    stored (float16, int8).

    Parameters
    ----------
    files : FamilyFiles
    needs : {"image", "tokens"}
        What the network takes.
    convention : str
        Of stored HV: a preset's name, or "auto" = detected.

    Raises
    ------
    InputError
        If what is needed is not there, numbers of samples differ, or it cannot be told how
        HV is meant.
    """
    arrays = _find_arrays(files, needs)
    n = _common_length(files, arrays)
    arrays, notes, faults = _read_hv_as(arrays, n, convention, files.name)
    groups, group_note = groups_of(files, n)
    splits, split_note = splits_of(files, n)
    shape = _plane_shape(arrays)
    samples = tuple(
        Sample(
            f"{files.name}_{i:05d}",
            groups[i],
            splits[i],
            reader=partial(read_one, arrays, i),
            shape=shape,
        )
        for i in range(n)
    )
    return Haul(samples, (), faults, faults).noting(*notes, group_note, split_note)


def read_one(arrays: FamilyArrays, index: int) -> SampleArrays:
    """Read one sample of a family; HV comes as [H, V] outward.

    Raises
    ------
    InputError
        If tokens or HV hold NaN, or labels are no labels.
    """
    made: dict[str, Any] = {}
    what = f"sample {index}"
    if arrays.features is not None:
        made["features"] = _tokens(np.array(_at(arrays.features, index)), what)
    if arrays.image is not None:
        made["image"] = eight_bits(np.array(_at(arrays.image, index)), f"{what}: the image")
    types = None if arrays.nt is None else check_labels(_plane(arrays.nt, index), f"{what}: types")
    if arrays.inst is not None:
        labels = check_labels(_plane(arrays.inst, index), f"{what}: inst_maps")
        return SampleArrays(labels=compact_ids(labels)[0], types=types, **made)
    if arrays.np is None or arrays.hv is None:
        raise InputError(f"{what} has neither instances nor NP and HV targets.")
    nucleus = check_labels(_plane(arrays.np, index), f"{what}: np_targets")
    hv = read_stored(_at(arrays.hv, index), arrays.order, arrays.sign, arrays.divisor)
    if not np.isfinite(hv).all():
        raise InputError(f"{what}: hv_targets hold NaN or infinite values; compute them again.")
    return SampleArrays(np_target=nucleus, hv_target=hv, nt_target=types, **made)


def _tokens(features: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    if features.ndim != 2 or features.dtype.kind != "f":
        raise InputError(
            f"{what}: tokens have shape {features.shape} and dtype {features.dtype}; they are "
            "(261, 1536) of float16 or float32."
        )
    if not np.isfinite(features.sum(dtype=np.float64)):
        raise InputError(f"{what}: tokens hold NaN or infinite values; compute them again.")
    return features


def _at(where: Where, index: int) -> Any:
    return open_member(*where)[index]


def _plane(where: Where, index: int) -> npt.NDArray[Any]:
    return np.array(_at(where, index))


def _find_arrays(files: FamilyFiles, needs: str) -> FamilyArrays:
    """Look which array lies where; targets win over the data file."""
    places: dict[str, Where] = {}
    for file in (files.targets, files.data):
        for name in npz_members(file) if file is not None else ():
            places.setdefault(name, (file, name))  # type: ignore[arg-type]
    tokens = None
    if files.features is not None:
        there = npz_members(files.features)
        name = next((n for n in FEATURE_NAMES if n in there), FEATURE_NAMES[0])
        open_member(files.features, name)  # refuses what is not there, or no numbers
        tokens = (files.features, name)
    arrays = FamilyArrays(
        features=tokens if needs == "tokens" else None,
        image=places.get("images"),
        inst=places.get("inst_maps"),
        np=places.get("np_targets"),
        hv=places.get("hv_targets"),
        nt=places.get("nt_targets"),
    )
    _check_there(files, arrays, needs)
    return arrays


def _check_there(files: FamilyFiles, arrays: FamilyArrays, needs: str) -> None:
    if needs == "tokens" and arrays.features is None:
        raise InputError(f"There is no {files.name}_features.npz, and this network takes tokens.")
    if needs == "image" and arrays.image is None:
        raise InputError(
            f"{files.name} has no images ({files.name}_data_FIXED.npz), and this network takes "
            "images; tokens are for the token decoder (optimus)."
        )
    if arrays.inst is None and (arrays.np is None or arrays.hv is None):
        if files.targets is not None:
            for name in ("np_targets", "hv_targets"):
                open_member(files.targets, name)  # says what is wrong with it
        raise InputError(
            f"{files.name} has neither inst_maps nor np_targets and hv_targets; give "
            f"{files.name}_targets.npz beside its tokens."
        )


def _common_length(files: FamilyFiles, arrays: FamilyArrays) -> int:
    lengths = {}
    for name in ARRAYS:
        where = getattr(arrays, name)
        if where is not None:
            shape = npz_members(where[0])[where[1]].shape
            lengths[where[1]] = shape[0] if shape else 0
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise SizeError(f"{files.name}: numbers of samples differ ({said}); use files of one run.")
    n = int(next(iter(lengths.values())))
    if not n:
        raise InputError(f"{files.name} holds no sample.")
    return n


def _plane_shape(arrays: FamilyArrays) -> tuple[int, int] | None:
    where = arrays.inst or arrays.np
    if where is None:
        return None
    shape = npz_members(where[0])[where[1]].shape
    if len(shape) != 3:
        raise SizeError(f"{where[0]}: {where[1]} has shape {shape}; it must be (N, H, W).")
    return (shape[1], shape[2])


# --- how HV is meant -----------------------------------------------------------------


def _read_hv_as(
    arrays: FamilyArrays, n: int, convention: str, name: str
) -> tuple[FamilyArrays, tuple[str, ...], tuple[str, ...]]:
    """Settle how HV is read; returns also notes and faults."""
    if arrays.hv is None:
        return arrays, (), ()
    shape = npz_members(arrays.hv[0])[arrays.hv[1]].shape
    if len(shape) != 4 or shape[1] != 2:
        raise SizeError(f"{name}: hv_targets have shape {shape}; they must be (N, 2, H, W).")
    probed = [k * n // min(n, PROBED) for k in range(min(n, PROBED))]
    stored = np.stack([np.array(_at(arrays.hv, i)) for i in probed])
    divisor, note = divisor_of(stored, f"{name}: HV")
    arrays = replace(arrays, divisor=divisor)
    try:
        found = detect_hv(_probes(arrays, stored, probed))
    except InputError as error:
        if arrays.inst is None:
            raise InputError(f"{name}: {error}") from error
        return arrays, (note, f"{name}: {error} HV is computed from inst_maps."), ()
    said = [note, f"{name}: {found.words}"]
    if arrays.inst is not None:
        return arrays, (*said, f"{name}: HV is computed from inst_maps, not taken as stored"), ()
    arrays, more, faults = _believe(arrays, found, convention, name)
    return arrays, (*said, *more), faults


def _believe(
    arrays: FamilyArrays, found: HVFinding, convention: str, name: str
) -> tuple[FamilyArrays, tuple[str, ...], tuple[str, ...]]:
    """Take the convention that is named, or the one found."""
    kept = "stored HV is only flipped and turned: without labels it cannot be scaled or rotated"
    if convention == AUTO:
        if not found.sure:
            raise InputError(
                f"{name}: it cannot be told how HV is stored ({found.words}); name the convention "
                "(hv_convention), or add inst_maps."
            )
        return replace(arrays, order=found.order, sign=found.sign), (kept,), ()
    named = HVConvention.preset(convention)
    arrays = replace(arrays, order=named.order, sign=named.sign)
    if not found.sure or (named.order, named.sign) == (found.order, found.sign):
        return arrays, (f"{name}: read as {convention!r}", kept), ()
    fault = (
        f"{name}: hv_convention {convention!r} is {named.order}, {named.sign}, but {found.words}. "
        "Trained with the wrong one, flips cancel HV out; use 'auto'."
    )
    return arrays, (kept,), (fault,)


def _probes(arrays: FamilyArrays, stored: npt.NDArray[Any], probed: Sequence[int]) -> list[HVProbe]:
    probes = []
    for hv, index in zip(stored, probed, strict=True):
        where = arrays.inst or arrays.np
        if where is None:
            raise InputError("there is neither inst_maps nor np_targets.")
        plane = check_labels(_plane(where, index), where[1])
        labels = compact_ids(plane)[0] if arrays.inst is not None else None
        probes.append(HVProbe(unit_scale(hv, arrays.divisor), plane > 0, labels))
    return probes


# --- where samples come from ----------------------------------------------------------


def _ids(files: FamilyFiles, name: str, n: int) -> list[str] | None:
    """Return what the data file says of each sample, None if it does not."""
    for file in (files.data, files.targets):
        if file is not None and npz_members(file).get(name) is not None:
            values = open_member(file, name).reshape(-1)
            if len(values) == n:
                return [str(v) for v in values]
    return None


def groups_of(files: FamilyFiles, n: int) -> tuple[list[str], str]:
    """Return the source image of each sample, and what there is to say of it."""
    ids = _ids(files, "image_ids", n)
    if ids is None:
        words = f"{files.name}: no image_ids, so each sample counts as a source of its own"
        return [""] * n, words
    return [f"{files.name}:{i}" for i in ids], ""


def splits_of(files: FamilyFiles, n: int) -> tuple[list[str], str]:
    """Return what each sample is for ("train", "val", ""), and what there is to say of it."""
    folds = _ids(files, "fold_ids", n)
    if folds is None or len(set(folds)) == 1:
        return [""] * n, ""
    last = max(folds, key=_as_number)
    words = f"{files.name}: fold {last} of {len(set(folds))} validates, the others train"
    return ["val" if f == last else "train" for f in folds], words


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return math.inf, text
