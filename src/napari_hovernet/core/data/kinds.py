"""Files of the token decoder's families: ``F_features``, ``F_targets``, ``F_data_FIXED`` .npz."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import HVConvention, compact_ids
from ..inference.images import UInt8
from ..io.labels import check_labels
from ..params import FAMILIES
from ..types import Int32
from .items import Haul, joined, source_of, split_of
from .samples import (
    HVFinding,
    HVProbe,
    Sample,
    SampleArrays,
    SizeError,
    detect_hv,
    divisor_of,
    read_stored,
    unit_scale,
)
from .stores import npz_members, open_member, open_npy

WITH_TYPES, WITHOUT_TYPES = 5, 4
"""Channels of a patch: R, G, B, instances (and types)."""
DEPTH = 3
"""Folders below the one given in which patches are looked for."""


def patch_files(folder: Path) -> list[Path]:
    """List the .npy files of a folder and of those below it that are patches by their shape."""
    found = [p for depth in range(DEPTH + 1) for p in folder.glob("*/" * depth + "*.npy")]
    return sorted(path for path in found if is_patch(path))


def is_patch(path: Path) -> bool:
    """Tell by its header whether a file is a patch."""
    try:
        shape = open_npy(path).shape
    except InputError:
        return False
    return len(shape) == 3 and shape[2] in (WITH_TYPES, WITHOUT_TYPES)


def read_patches(path: Path) -> Haul:
    """List patches; each is read from disk when it is needed."""
    files = patch_files(path) if path.is_dir() else [path]
    if not files or not is_patch(files[0]):
        raise InputError(
            f"{path} holds no patch of hover_net: .npy of shape (H, W, 5), RGB, instances and "
            "types, or (H, W, 4) without types."
        )
    samples: list[Sample] = []
    tests = 0
    for file in files:
        split = _split(file, path)
        if split is None:
            tests += 1
            continue
        height, width, _ = open_npy(file).shape
        reader = partial(read_patch, file)
        samples.append(
            Sample(file.stem, source_of(file.stem), split, reader=reader, shape=(height, width))
        )
    kept = f"{tests} patches of a test folder are kept out of training" if tests else ""
    return Haul(tuple(samples)).noting(
        "patches belong to the image of their name without the number at its end", kept
    )


def _split(file: Path, top: Path) -> str | None:
    """Return what the folders between a patch and the top say it is for."""
    folders = file.relative_to(top).parts[:-1] if top.is_dir() else ()
    said = [split_of(name) for name in (top.name, *folders)]
    return None if None in said else next((s for s in said if s), "")


def read_patch(file: Path) -> SampleArrays:
    """Read one patch."""
    patch = np.array(open_npy(file))
    labels = compact_ids(check_labels(patch[..., 3], f"{file.name}: channel 3 (instances)"))[0]
    types = None
    if patch.shape[2] == WITH_TYPES:
        types = check_labels(patch[..., 4], f"{file.name}: channel 4 (types)")
    return SampleArrays(image=eight_bits(patch[..., :3], file.name), labels=labels, types=types)


def eight_bits(values: npt.NDArray[Any], what: str, scale: float = 1.0) -> UInt8:
    """Return colours stored as any number as uint8."""
    if values.dtype == np.uint8 and scale == 1.0:
        return np.ascontiguousarray(values)
    if values.dtype.kind not in "iuf":
        raise InputError(f"{what} has dtype {values.dtype}; an image holds numbers.")
    scaled = values * scale
    low, high = float(scaled.min(initial=0)), float(scaled.max(initial=0))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{what} holds NaN or infinite pixels; repair or leave it out.")
    if low < -0.5 or high > 255.5:
        raise InputError(f"{what} has pixels of {low:g} to {high:g}; colours lie in 0..255.")
    return np.ascontiguousarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)


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
    """Files of one family."""

    name: str
    features: Path | None = None
    targets: Path | None = None
    data: Path | None = None


@dataclass(frozen=True)
class FamilyArrays:
    """Where each array of a family lies, and how HV is to be read."""

    features: Where | None = None  # (Path, str) or None
    image: Where | None = None  # (Path, str) or None
    inst: Where | None = None  # (Path, str) or None
    np: Where | None = None  # (Path, str) or None
    hv: Where | None = None  # (Path, str) or None
    nt: Where | None = None  # (Path, str) or None
    order: str = "hv"  # Of the stored HV.
    sign: str = "outward"  # Of the stored HV.
    divisor: float = 1.0  # Of the stored HV.


def find_families(path: Path, family: str = "") -> list[FamilyFiles]:
    """List the families of a folder, or the one a file belongs to."""
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

    Arrays in uncompressed files are mapped, compressed ones are held in memory as they are stored
    (float16, int8).
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
    """Read one sample of a family; HV comes as [H, V] outward."""
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


def check_family(name: str) -> str:
    """Return the name of a family in small letters."""
    found = name.strip().lower()
    if found and found not in FAMILIES:
        raise InputError(f"family is {name!r}; choose one of {', '.join(FAMILIES)}, or none.")
    return found


def of_family(tissues: Iterable[str], family: str) -> list[bool]:
    """Tell of each tissue whether it belongs to a family."""
    members = FAMILIES[check_family(family)]
    return ["".join(c for c in str(t).lower() if c.isalpha()) in members for t in tissues]


CLASSES = 5
"""Channels with instances: neoplastic, inflammatory, connective, dead, epithelial."""
BACKGROUND = 5
"""Channel that is 1 outside all nuclei."""
DEPTH_PANNUKE = 4
"""Folders below the one given in which folds are looked for."""
PROBED_PANNUKE = 8
"""Images of a fold that are looked at before training."""
LEAST_AGREEMENT = 0.9
"""Share of pixels in which the background channel must be the rest of the others."""
LEAST_BACKGROUND = 0.4
"""A channel that fills more than this share is no class of nuclei."""

_FOLD = re.compile(r"fold[\s_-]*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Fold:
    """Where a fold lies."""

    name: str
    images: Path
    masks: Path
    types: Path | None  # Tissue of each image


def find_folds(path: Path) -> list[Fold]:
    """List the folds in a folder and below it, or the one of an ``images.npy``.

    The files lie together, or in folders ``images`` and ``masks`` beside each other, as published.
    """
    if path.is_file():
        found = [path] if path.name.lower() == "images.npy" else []
    else:
        found = [
            p for depth in range(DEPTH_PANNUKE + 1) for p in path.glob("*/" * depth + "images.npy")
        ]
    folds = [fold for file in sorted(found) if (fold := _fold(file)) is not None]
    return folds


def _fold(images: Path) -> Fold | None:
    beside = images.with_name("masks.npy")
    parts = images.parts
    places = [i for i, part in enumerate(parts[:-1]) if part.lower() == "images"]
    apart = [
        Path(*parts[:i], masks, *parts[i + 1 : -1], "masks.npy")
        for i in reversed(places)
        for masks in ("masks", "Masks")
    ]
    masks = next((p for p in (beside, *apart) if p.is_file()), None)
    if masks is None:
        return None
    types = next((p for p in (images.with_name("types.npy"), masks.with_name("types.npy"))
                  if p.is_file()), None)  # fmt: skip
    number = _FOLD.findall(str(images.parent))
    return Fold(f"fold{number[-1]}" if number else images.parent.name, images, masks, types)


def read_folds(folds: list[Fold], family: str = "") -> Haul:
    """List the images of folds; each is read from disk when it is needed.

    Of several folds the last validates, as published.
    """
    last = max(fold.name for fold in folds)
    several = len({fold.name for fold in folds}) > 1
    hauls = [_read_fold(f, family, ("val" if f.name == last else "train") if several else "")
             for f in folds]  # fmt: skip
    divided = f"{last} of {len(folds)} folds validates, the others train" if several else ""
    return joined(hauls).noting(
        divided, "PanNuke does not tell the slides: each image counts as a source of its own"
    )


def _read_fold(fold: Fold, family: str, split: str) -> Haul:
    images, masks = open_npy(fold.images), open_npy(fold.masks)
    _check_shapes(fold, images, masks)
    keep = _chosen(fold, len(images), family)
    n = min(PROBED_PANNUKE, len(keep))
    probed = [keep[k * len(keep) // n] for k in range(n)]
    scale, note = _scale(fold, images, probed)
    height, width = masks.shape[1:3]
    samples = tuple(
        Sample(
            f"{fold.name}_{i:04d}",
            split=split,
            reader=partial(read_pannuke, fold.images, fold.masks, i, scale),
            shape=(int(height), int(width)),
        )
        for i in keep
    )
    fault = _background_fault(fold, masks, probed)
    faults = (fault,) if fault else ()
    return Haul(samples, (note,) if note else (), faults, faults)


def read_pannuke(images: Path, masks: Path, index: int, scale: float = 1.0) -> SampleArrays:
    """Read one image: instances of the five classes in one label image, and their types.

    Types are 1 neoplastic, 2 inflammatory, 3 connective, 4 dead, 5 epithelial. Where two classes
    claim a pixel the later one has it, as in the published reader.
    """
    image = eight_bits(np.array(open_npy(images)[index]), f"{images.name}[{index}]", scale)
    labels, types = merge_classes(np.array(open_npy(masks)[index]), f"{masks.name}[{index}]")
    return SampleArrays(image=image, labels=labels, types=types)


def merge_classes(masks: npt.NDArray[Any], what: str = "masks") -> tuple[Int32, Int32]:
    """Put the instances of all classes into one label image.

    ``masks`` number (H, W, 6); returns labels, types int32 (H, W).
    """
    instances = masks[..., :CLASSES]
    if not np.isfinite(instances.sum(dtype=np.float64)) or instances.min(initial=0) < 0:
        raise InputError(f"{what} holds NaN or negative ids; ids are whole numbers from 0 on.")
    ids = instances.astype(np.int32)
    if instances.dtype.kind == "f" and (ids != instances).any():
        raise InputError(f"{what} holds fractions; ids are whole numbers from 0 on.")
    labels = np.zeros(ids.shape[:2], np.int32)
    types = np.zeros(ids.shape[:2], np.int32)
    offset = 0
    for k in range(CLASSES):
        there = ids[..., k] > 0
        labels[there] = ids[..., k][there] + offset
        types[there] = k + 1
        offset += int(ids[..., k].max(initial=0))
    return labels, types


def _check_shapes(fold: Fold, images: npt.NDArray[Any], masks: npt.NDArray[Any]) -> None:
    if images.ndim != 4 or images.shape[3] != 3:
        raise InputError(f"{fold.images} has shape {images.shape}; PanNuke is (N, 256, 256, 3).")
    if masks.ndim != 4 or masks.shape[3] != CLASSES + 1:
        raise InputError(
            f"{fold.masks} has shape {masks.shape}; PanNuke is (N, 256, 256, 6): instances of "
            "five classes, then background."
        )
    if images.shape[:3] != masks.shape[:3]:
        raise SizeError(
            f"{fold.name}: images are {images.shape[:3]}, masks {masks.shape[:3]} (number, "
            "height, width); take both from the same fold."
        )
    if not len(images):
        raise InputError(f"{fold.images} holds no image.")


def _chosen(fold: Fold, n: int, family: str) -> list[int]:
    """List the images of a family, all if none is named."""
    if not family:
        return list(range(n))
    inside = of_family(_tissues(fold, n), family)
    keep = [i for i in range(n) if inside[i]]
    if not keep:
        raise InputError(f"{fold.images} has no tissue of the family {family!r}.")
    return keep


def _tissues(fold: Fold, n: int) -> list[str]:
    if fold.types is None:
        raise InputError(f"{fold.images} has no types.npy beside it, which tells the tissue.")
    types = open_npy(fold.types)
    if types.shape != (n,):
        raise SizeError(f"{fold.types} has shape {types.shape} for {n} images.")
    return [str(t) for t in types]


def _scale(fold: Fold, images: npt.NDArray[Any], probed: list[int]) -> tuple[float, str]:
    """Tell whether floats run to 1 rather than 255."""
    if images.dtype.kind != "f":
        return 1.0, ""
    largest = max(float(np.max(images[i])) for i in probed)
    if 0 < largest <= 1.0:
        return 255.0, f"{fold.name}: images run from 0 to 1 and are multiplied by 255"
    return 1.0, ""


def _background_fault(fold: Fold, masks: npt.NDArray[Any], probed: list[int]) -> str:
    """Say so where the last channel is not the background of the others."""
    values = np.stack([np.array(masks[i]) for i in probed]).reshape(-1, CLASSES + 1)
    filled = values > 0
    share = filled.mean(axis=0)
    largest = int(np.argmax(share))
    rest = ~filled[:, :CLASSES].any(axis=1)
    agreement = float((filled[:, BACKGROUND] == rest).mean())
    one_value = len(np.unique(values[filled[:, largest], largest])) == 1  # no ids of instances
    swapped = largest != BACKGROUND and share[largest] > LEAST_BACKGROUND and one_value
    if not swapped and (agreement >= LEAST_AGREEMENT or not share[BACKGROUND]):
        return ""
    hint = f"; channel {largest} covers most ({share[largest]:.0%})" if swapped else ""
    return (
        f"{fold.masks}: channel {BACKGROUND} is not the background of the others (fits "
        f"{agreement:.0%} of pixels){hint}. With wrong channels nearly everything is "
        "nucleus; put them in order: neoplastic, inflammatory, connective, dead, epithelial, "
        "background."
    )
