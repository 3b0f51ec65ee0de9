"""Whatever the user names: opened as it lies there, or checked and divided to be learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import HVConvention, compact_ids
from ..inference.images import UInt8
from ..io.files import MAX_TYPE, read_type_scheme
from ..io.labels import check_labels, renumbered
from ..io.open import read_image, read_labels
from ..limits import MEMORY_SHARE, free_memory
from ..params import DataParams
from ..types import BACKGROUND, TypeInfo, by_name
from .items import Dataset, Item, dataset_of_stack, evenly, joined, listed, split_of
from .kinds import (
    check_family,
    family_data,
    find_families,
    find_folds,
    folds_data,
    patch_files,
    patches_data,
)
from .pairs import INDEX_NAME, bare_name, find_splits, type_map
from .samples import LoadedData, Sample, SampleArrays, split_samples
from .stored_hv import StoredHV, look_at_hv, read_stored
from .stores import ALIASES, CLASSES, MASKS, SizeError, Stack, open_npy, stack_of

NEEDS = ("image", "tokens")
AUTO = "auto"
PROBED = 8
"""Images of a stack that are looked at before training."""
LEAST_AGREEMENT = 0.9
"""Share of pixels in which PanNuke's background channel must be the rest of the others."""
LEAST_BACKGROUND = 0.4
"""A channel that fills more than this share is no class of nuclei."""


# --- opening --------------------------------------------------------------------------


def open_dataset(path: Path, family: str = "", split: str | None = None) -> Dataset:
    """List what there is at a place by headers and indices; ``split`` names a folder of it too."""
    found = datasets(path, family.strip().lower(), split)
    return joined(found, str(path)) if len(found) > 1 else replace(found[0], origin=str(path))


def datasets(
    path: Path, family: str = "", split: str | None = None, *, need_labels: bool = False
) -> list[Dataset]:
    """Open a place by what lies there: one data set for each stack of arrays."""
    if not path.exists():
        raise InputError(f"{path} is not there; was it moved? Check the path.")
    if path.is_dir() and (path / INDEX_NAME).is_file():
        return [find_splits(path, split, need_labels=need_labels)]
    if folds := find_folds(path):
        return folds_data(folds, check_family(family))
    if families := find_families(path, family):
        return [family_data(files) for files in families]
    if family:
        raise InputError(
            f"{path} has no files of the family {family!r} (FAMILY_targets.npz ...), nor PanNuke "
            "folds; leave the family out."
        )
    if patches := patch_files(path):
        return [patches_data(patches, path)]
    try:
        pairs = find_splits(path, split, need_labels=need_labels) if path.is_dir() else None
    except InputError:
        pairs = None
    if pairs and pairs.pairs:  # images with labels count, whatever else lies there
        return [pairs]
    return _stacks(path) or [pairs or find_splits(path, split, need_labels=need_labels)]


def _stacks(path: Path) -> list[Dataset]:
    """List what .npz or .npy files hold; [] if there are none."""
    known = {name for names in ALIASES.values() for name in names}
    folder = path if path.is_dir() else path.parent
    if path.suffix.lower() == ".npz" or path.is_dir():
        files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if files:
            return [_stack_data(stack_of([file]), file.stem) for file in files]
    elif path.suffix.lower() != ".npy":
        return []
    elif path.stem.lower() not in known:
        raise InputError(
            f"{path} of shape {open_npy(path).shape}: its name does not say what it is, and it is "
            "no patch of hover_net, (H, W, 5) or (H, W, 4); call it images.npy, labels.npy, "
            "np.npy, hv.npy or types.npy, all in one folder, or save them as one .npz."
        )
    files = sorted(p for p in folder.glob("*.npy") if p.stem.lower() in known)
    stack = stack_of(files) if files else Stack({})
    useful = {"image", "np", "hv", "features"} & set(stack.parts)
    return [_stack_data(stack, folder.name)] if useful else []


def _stack_data(stack: Stack, name: str) -> Dataset:
    n = stack.n
    names = [name] if n == 1 else [f"{name}_{i:05d}" for i in range(n)]
    types = CLASSES + 1 if MASKS in stack.parts else None
    return dataset_of_stack(stack, name, names, n_types=types)


# --- training -------------------------------------------------------------------------


@dataclass
class Gathered:
    """What has been found to learn from, and what there is to say of it."""

    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # What could not be used
    faults: list[str] = field(default_factory=list)  # Those with which it should not start
    type_names: dict[int, TypeNames] = field(default_factory=dict)  # By place in ``samples``

    def refuse(self, fault: str) -> None:
        """Note why training should not start, "" = nothing."""
        self.problems += [fault] if fault else []
        self.faults += [fault] if fault else []


TypeNames = Mapping[int, TypeInfo]


def load_samples(
    data: DataParams, *, needs: str = "image", seed: int = 0, known: TypeNames | None = None
) -> LoadedData:
    """Read images with label files, list what lies in arrays, and divide all for training.

    Types that files name are numbered as ``known`` where all of them are known.
    """
    if needs not in NEEDS:
        raise InputError(f"needs is {needs!r}; choose one of {', '.join(NEEDS)}.")
    if not data.sources:
        raise InputError(
            "No training data is named; give a folder of images with labels, an index.csv, "
            "PanNuke folds, patches, or family .npz files."
        )
    found = gather(map(Path, data.sources), needs, check_family(data.family), data.hv_convention)
    held = gather(map(Path, data.validation), needs, "", data.hv_convention)
    for sample in held.samples:
        sample.split = "val"
    for name in ("samples", "notes", "problems", "faults"):
        getattr(found, name).extend(getattr(held, name))
    if not data.types_background:
        higher = np.arange(1, MAX_TYPE + 2)
        found.samples = [s.retyped(higher) if s.stored else s for s in found.samples]
    if not found.samples:
        where, why = listed(data.sources), "; ".join(found.problems[:3])
        raise InputError(
            f"Nothing in {where} can be used: {why}" if why else
            f"{where}: there is nothing to train on ({'; '.join(found.notes) or 'no image'})."
        )  # fmt: skip
    samples, names = _numbered_alike(found, data.types, known or {})
    divided = split_samples(_unique_names(samples), data.val_fraction, seed)
    notes = (*filter(None, dict.fromkeys(found.notes)), *divided.notes)
    problems, faults = tuple(found.problems), tuple(found.faults)
    return replace(divided, notes=notes, problems=problems, faults=faults, type_names=names)


def _numbered_alike(
    found: Gathered, scheme: str, known: TypeNames
) -> tuple[list[Sample], TypeNames]:
    """Give types one numbering, by a file of types or by their names; return it too."""
    everywhere = range(len(found.samples))
    if scheme:
        groups, names = read_type_scheme(scheme), found.type_names
        tables = {i: groups.table(MAX_TYPE + 1, names.get(i)) for i in everywhere}
        return [found.samples[i].retyped(tables[i]) for i in everywhere], groups.names
    named = {t.name.strip().casefold(): t for names in found.type_names.values()
             for k, t in sorted(names.items()) if k}  # fmt: skip
    if not named:
        return found.samples, {}
    theirs = {t.name.strip().casefold() for k, t in known.items() if k}
    new = {0: BACKGROUND} | dict(enumerate(named.values(), start=1))
    wanted = known if set(named) <= theirs else new
    if len(found.type_names) < len(found.samples):
        first = next(t.name for k, t in sorted(wanted.items()) if k)
        said = "some files name their types and others do not: there type 1 is taken for "
        found.notes.append(said + repr(first))
    samples = list(found.samples)
    for i, own in found.type_names.items():
        table = by_name(own, wanted, MAX_TYPE + 1)
        samples[i] = samples[i] if table is None else samples[i].retyped(table)
    return samples, wanted


def gather(
    paths: Iterable[Path], needs: str = "image", family: str = "", convention: str = AUTO
) -> Gathered:
    """Read or list the samples of some places, those of a test split left out."""
    found = Gathered()
    for path in paths:
        tokens = needs == "tokens"
        places = _token_data(path, family) if tokens else datasets(path, family, need_labels=True)
        for data in places:
            _gather(data, needs, convention, found)
    return found


def _token_data(path: Path, family: str) -> list[Dataset]:
    if not path.exists():
        raise InputError(f"{path} is not there; was it moved? Check the path.")
    families = [f for f in find_families(path, family) if f.features is not None]
    if not families:
        raise InputError(
            f"{path} holds no tokens{f' of the family {family!r}' if family else ''}, and this "
            "network takes tokens of a frozen encoder: FAMILY_features.npz beside "
            "FAMILY_targets.npz. To train on images choose another network."
        )
    return [family_data(files) for files in families]


def _gather(data: Dataset, needs: str, convention: str, found: Gathered) -> None:
    tests = sum(split_of(item.split) is None for item in data)
    items = [item for item in data if split_of(item.split) is not None]
    found.notes += data.notes
    if data.unpaired:
        found.notes.append(
            f"{len(data.unpaired)} images without labels are left out "
            f"({listed(pair.name for pair in data.unpaired)})"
        )
    if data.pairs or data.unpaired:
        _read_pairs([item for item in items if item.pair and item.pair.labels], found)
    elif items:
        _list_stored(replace(data, items=tuple(items)), needs, convention, found)
    if tests:
        found.notes.append(f"{tests} images of the test split are kept out of training")


def _unique_names(samples: Sequence[Sample]) -> list[Sample]:
    """Give samples of several places names of their own."""
    seen: Counter[str] = Counter()
    made = []
    for sample in samples:
        seen[sample.name] += 1
        number = seen[sample.name]
        made.append(sample.renamed(f"{sample.name} ({number})") if number > 1 else sample)
    return made


# --- image files ----------------------------------------------------------------------


def _read_pairs(items: Sequence[Item], found: Gathered) -> None:
    """Read images and labels into memory."""
    room, taken = free_memory() * MEMORY_SHARE, 0
    for item in items:
        try:
            sample, names = _pair_sample(item)
        except InputError as error:
            found.problems.append(str(error))
            found.faults += [str(error)] if isinstance(error, SizeError) else []
            continue
        if names:
            found.type_names[len(found.samples)] = names
        found.samples.append(sample)
        taken += sum(a.nbytes for a in vars(sample.arrays).values() if a is not None)
        if taken > room:
            raise InputError(
                f"The images up to {item.name} take {taken / 1e9:.1f} GB of memory; cut large "
                "ones into patches (.npy files are read from disk as needed), or train on fewer."
            )


def _pair_sample(item: Item) -> tuple[Sample, TypeNames]:
    """Read a pair; with the names that its file gives the types."""
    if item.pair is None or item.pair.labels is None:
        raise InputError(f"{item.name} has no labels.")
    image = read_image(item.pair.image)
    height, width = image.source.shape
    instances = read_labels(item.pair.labels, (height, width), bare_name(item.pair.image))
    if instances.labels.shape != (height, width):
        rows, cols = instances.labels.shape
        raise SizeError(
            f"{item.name}: the image is {height} x {width} pixels, its labels {rows} x {cols}; "
            "give labels of the very image, at its resolution."
        )
    sample = Sample(
        item.name,
        item.group,
        split_of(item.split) or "",
        mpp=item.pair.mpp or image.mpp,
        image=np.ascontiguousarray(image.source.read(0, height, 0, width)),
        labels=compact_ids(instances.labels)[0],
        types=type_map(instances),
    )
    return sample, instances.type_names


# --- arrays in files ------------------------------------------------------------------


def _list_stored(data: Dataset, needs: str, convention: str, found: Gathered) -> None:
    """List samples of arrays in files; each is read when it is needed."""
    there = set(data.has)
    hv, scale = StoredHV(), 1.0
    if data.stack is not None:
        there -= {part for part, s in data.stack.parts.items() if s.dtype.hasobject}
        _check_there(data, there, needs)
        scale, note = image_scale(data)
        found.notes.append(note)
        if "hv" in there:
            hv = _settled_hv(data, data.stack, convention, found)
        found.refuse(_background_fault(data))
    parts = {"image", "types", *(["features"] if needs == "tokens" else [])}
    parts |= {"labels"} if "labels" in there else {"np", "hv"}
    read = partial(read_checked, stack=data.stack, parts=tuple(parts & there), hv=hv, scale=scale)
    found.samples += [
        Sample(i.name, i.group, split_of(i.split) or "", reader=partial(read, i), shape=i.shape)
        for i in data
    ]


def read_checked(
    item: Item, stack: Stack | None, parts: Sequence[str], hv: StoredHV, scale: float
) -> SampleArrays:
    """Read one sample out of arrays in files; HV comes as [H, V] outward."""
    raw = item.read(*parts) if stack is None else stack.read(item.index, parts, stream=False)
    made: dict[str, Any] = {}
    if "features" in raw:
        made["features"] = _tokens(raw["features"])
    if "image" in raw:
        called = stack.parts["image"].called if stack else item.name
        made["image"] = eight_bits(raw["image"], f"{called}[{item.index}]", scale)
    types = check_labels(raw["types"], "types") if "types" in raw else None
    if "labels" in raw:
        labels = compact_ids(renumbered(raw["labels"], "instances")[0])[0]
        return SampleArrays(labels=labels, types=types, **made)
    nucleus = check_labels(raw["np"], "np_targets")
    vectors = read_stored(raw["hv"], hv.order, hv.sign, hv.divisor)
    if not np.isfinite(vectors).all():
        raise InputError("hv_targets hold NaN or infinite values; compute them again.")
    return SampleArrays(np_target=nucleus, hv_target=vectors, nt_target=types, **made)


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


def _tokens(features: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if features.ndim != 2 or features.dtype.kind != "f":
        raise InputError(
            f"tokens have shape {features.shape} and dtype {features.dtype}; they are (261, 1536) "
            "of float16 or float32."
        )
    if not np.isfinite(features.sum(dtype=np.float64)):
        raise InputError("tokens hold NaN or infinite values; compute them again.")
    return features


def _check_there(data: Dataset, there: set[str], needs: str) -> None:
    """Refuse a stack that lacks what the network takes, or any truth."""
    name, kind = data.origin, "features" if needs == "tokens" else "image"
    if kind in there and ("labels" in there or {"np", "hv"} <= there):
        return
    missing = f"neither inst_maps nor np_targets and hv_targets; give {name}_targets.npz"
    if kind not in there:
        missing = {
            "features": "no tokens, and this network takes tokens",
            "image": f"no images ({name}_data_FIXED.npz), and this network takes images; tokens "
            "are for the token decoder (optimus)",
        }[kind]
    notes = data.stack.notes if data.stack else ()
    raise InputError(
        f"{name} has {missing}. There is: {', '.join(sorted(there)) or 'nothing'}. "
        f"{' '.join(notes)}".rstrip()
    )


def _settled_hv(data: Dataset, stack: Stack, convention: str, found: Gathered) -> StoredHV:
    """Settle how stored HV is read: as named, or as found."""
    name, labelled = data.origin, "labels" in stack.has
    try:
        seen, divisor, note = look_at_hv(stack, name)
    except SizeError:
        raise
    except InputError as error:
        if not labelled:
            raise InputError(f"{name}: {error}") from error
        found.notes.append(f"{name}: {error} HV is computed from inst_maps.")
        return StoredHV()
    found.notes += [note, f"{name}: {seen.words}"]
    if labelled:
        found.notes.append(f"{name}: HV is computed from inst_maps, not taken as stored")
        return StoredHV()
    found.notes.append(
        "stored HV is only flipped and turned: without labels it cannot be scaled or rotated"
    )
    if convention == AUTO:
        if not seen.sure:
            raise InputError(
                f"{name}: it cannot be told how HV is stored ({seen.words}); name the convention "
                "(hv_convention), or add inst_maps."
            )
        return StoredHV(seen.order, seen.sign, divisor)
    named = HVConvention.preset(convention)
    if not seen.sure or (named.order, named.sign) == (seen.order, seen.sign):
        found.notes.append(f"{name}: read as {convention!r}")
    else:
        found.refuse(
            f"{name}: hv_convention {convention!r} is {named.order}, {named.sign}, but "
            f"{seen.words}. Trained with the wrong one, flips cancel HV out; use 'auto'."
        )
    return StoredHV(named.order, named.sign, divisor)


def image_scale(data: Dataset) -> tuple[float, str]:
    """Tell whether floats run to 1 rather than 255."""
    stored = data.stack.parts.get("image") if data.stack else None
    if stored is None or stored.dtype.kind != "f":
        return 1.0, ""
    looked = (data[i].read("image")["image"] for i in evenly(len(data), PROBED))
    if 0 < max(float(pixels.max(initial=0)) for pixels in looked) <= 1.0:
        return 255.0, f"{data.origin}: images run from 0 to 1 and are multiplied by 255"
    return 1.0, ""


def _background_fault(data: Dataset) -> str:
    """Say so where the last channel of PanNuke's masks is not the background of the others."""
    masks = data.stack.parts.get(MASKS) if data.stack else None
    if masks is None:
        return ""
    looked = [masks.read(data[i].index) for i in evenly(len(data), PROBED)]
    values = np.stack(looked).reshape(-1, CLASSES + 1)
    filled = values > 0
    share = filled.mean(axis=0)
    largest = int(np.argmax(share))
    agreement = float((filled[:, CLASSES] == ~filled[:, :CLASSES].any(axis=1)).mean())
    one_value = len(np.unique(values[filled[:, largest], largest])) == 1  # no ids of instances
    swapped = largest != CLASSES and share[largest] > LEAST_BACKGROUND and one_value
    if not swapped and (agreement >= LEAST_AGREEMENT or not share[CLASSES]):
        return ""
    hint = f"; channel {largest} covers most ({share[largest]:.0%})" if swapped else ""
    return (
        f"{masks.path}: channel {CLASSES} is not the background of the others (fits "
        f"{agreement:.0%} of pixels){hint}. With wrong channels nearly everything is nucleus; put "
        "them in order: neoplastic, inflammatory, connective, dead, epithelial, background."
    )
