"""Run a token decoder on the samples of a features file: stacks of maps, nuclei and truth."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..core.checkpoint import load_model
from ..core.data.items import Dataset, Item, Pair, dataset_of_stack
from ..core.data.pairs import DataChoice, bare_name, find_data, spread
from ..core.data.stores import Stack, Stored, npz_members, open_member, open_npy
from ..core.hv import read_hv
from ..core.inference.images import UInt8, as_source
from ..core.io.files import atomic_path
from ..core.io.labels import check_labels
from ..core.io.open import read_image, read_labels
from ..core.measure.compare import Truth, check_truth, compare, hv_scores
from ..core.measure.magnitude import BROKEN_MAXIMA, magnitude_report
from ..core.measure.metrics import bootstrap_mean
from ..core.measure.nuclei import measure
from ..core.networks.optimus import OUTPUT
from ..core.separation import separate
from ..core.separation.tuning import TuneParams
from ..core.tokens import AS_FILE
from ..core.tokens.backbone import Backbone, prefix_tokens, token_steps
from ..core.tokens.data import (
    Membership,
    TokenData,
    colours,
    find_token_data,
    membership,
    nearest,
    token_file,
    truth_of,
)
from ..core.tokens.decode import (
    TokenMaps,
    TokenParams,
    check_tokens,
    predict_tokens_steps,
    principal_rgb,
    slice_words,
)
from ..core.types import Int32, Model, ModelInfo, Progress
from ..errors import InputError, UserError
from .predictors import Predicted
from .segment import SegmentParams, SegmentResult, model_metadata
from .typed import majority, types_by_id

MOST_SHOWN = 64
"""Samples of a file that are shown without being asked for more, evenly spread."""
MEANS = ("aji", "cc_aji", "oracle_aji", "magnitude", "true_magnitude", "cosine", "largest")
FEATURES, DATA = "_features.npz", "_data_FIXED.npz"
SHRUNK = 2.0
"""Images more than this much larger than the backbone's input lose their nuclei."""


@dataclass(frozen=True)
class TokenChoice:
    """Which samples of a family are meant, and how they are read."""

    n_samples: int | None = None  # None = all
    split: str | None = None  # None = validation where it is known, else all
    seed: int | None = None  # Draw the samples by it
    truth: str = "auto"  # See :data:`napari_hovernet.core.tokens.TRUTHS`.


def choose_samples(sides: Membership, choice: TokenChoice) -> tuple[int, ...]:
    """List the samples that are meant, in the order of the file."""
    there = sides.chosen(choice.split)
    chosen = spread(there, choice.n_samples)
    if choice.seed is None or len(chosen) == len(there):
        return chosen
    drawn = np.random.default_rng(choice.seed).choice(len(there), len(chosen), replace=False)
    return tuple(there[i] for i in sorted(drawn.tolist()))


def token_pairs(data: TokenData, sides: Membership, indices: Sequence[int]) -> tuple[Pair, ...]:
    """Name samples as pairs of a data set; their image is the features file."""
    return tuple(
        Pair(data.name(i), data.features[0], None, data.family, split=sides.splits[i])
        for i in indices
    )


@dataclass
class TokenPredictor:
    """Decodes the tokens of samples, a batch at a time, and brings their truth along."""

    model: Model  # A token decoder
    data: TokenData
    indices: tuple[int, ...]  # Samples, in the order in which they will be asked for
    params: TokenParams = field(default_factory=TokenParams)
    tuning: TuneParams = field(default_factory=TuneParams)  # How HV is read and nuclei are cut
    truth: str = "auto"  # See :data:`napari_hovernet.core.tokens.TRUTHS`.
    true_magnitudes: dict[str, float] = field(default_factory=dict, init=False)
    _decoded: TokenMaps | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        check_tokens(self.model, self.data.shape, self.data.tokens.dtype, self.params)
        self._by_name = {self.data.name(i): i for i in self.indices}

    @property
    def prefix(self) -> int:
        """Tokens before the first patch."""
        return self.params.tokens_before(self.model)

    @property
    def notes(self) -> tuple[str, ...]:
        """What holds for every sample."""
        sliced = slice_words(self.prefix, self.data.shape[1])
        return tuple(filter(None, (*self.model.info.notes, *self.data.notes, sliced)))

    def describe(self) -> dict[str, Any]:
        """Return decoder, tokens and parameters."""
        file, name = self.data.features
        return {
            "model": model_metadata(self.model.info),
            "device": str(self.model.device),
            "features": f"{file}:{name}",
            "token_prefix": {"choice": self.params.prefix, "tokens": self.prefix},
            "separation": asdict(self.tuning.separation),
            "hv_reading": asdict(self.tuning.hv),
            "resampling": "none: maps are 224 x 224; true labels are brought to that, nearest",
        }

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Decode one sample, or take it from the batch that was decoded last."""
        index = self._by_name[pair.name]
        decoded = yield from self._batch_with(index)
        place = decoded.indices.index(index)
        if place in decoded.errors:
            raise InputError(decoded.errors[place])
        maps = read_hv(decoded.maps(place), self.tuning.hv)
        stages = separate(maps, self.tuning.separation)
        truth, found = None, truth_of(self.data, index, self.truth)
        if found is not None:
            self.true_magnitudes[pair.name] = hv_scores(maps.hv, found.labels).true_magnitude
            checked = check_truth(found.labels, (OUTPUT, OUTPUT))
            truth = Truth(checked.labels, checked.n, (*found.notes, *checked.notes))
        names, types = self.model.info.types, None
        if names:
            types = types_by_id(measure(stages.labels, maps, names))
            truth = truth and replace(truth, types=self._true_types(index, truth), type_names=names)
        return Predicted(
            image=as_source(sample_image(self.data, index)),
            labels=stages.labels,
            maps=maps,
            mask=stages.mask,
            separation=self.tuning.separation,
            truth=truth,
            types=types,
            type_names=names,
        )

    def _true_types(self, index: int, truth: Truth) -> dict[int, int] | None:
        """Return the most frequent stored type of each true nucleus, numbered as the decoder's."""
        if "types" not in self.data.has:
            return None
        kinds = nearest(
            check_labels(self.data.read(index, "types"), f"{self.data.name(index)}: types")
        )
        kinds = kinds + (not self.model.network.config.get("types_background", True))
        return majority(truth.labels, kinds)

    def _batch_with(self, index: int) -> Generator[Progress, None, TokenMaps]:
        """Return a decoded batch that holds a sample."""
        if self._decoded is None or index not in self._decoded.indices:
            at = self.indices.index(index)
            batch = self.indices[at : at + self.params.batch]
            self._decoded = None  # its memory is free before the next is decoded
            run = self.model, self.data.tokens, self.params
            try:
                self._decoded = yield from predict_tokens_steps(*run, batch)
            except InputError:  # every sample of the batch: tell of this one alone
                self._decoded = yield from predict_tokens_steps(*run, (index,))
        return self._decoded


def sample_image(data: TokenData, index: int) -> UInt8:
    """Return the image of a sample, (224, 224, 3), its tokens as colours where there is none."""
    image = data.image(index)
    if image is None:
        image = principal_rgb(np.asarray(data.tokens[index : index + 1], np.float32))[0]
    return image


# --- a run for the viewer -------------------------------------------------------------


@dataclass(frozen=True)
class TokenRequest:
    """What to run."""

    checkpoint: str  # A file of the token decoder
    features: str  # ``F_features.npz``.
    params: TokenParams = field(default_factory=TokenParams)
    choice: TokenChoice = field(default_factory=lambda: TokenChoice(n_samples=20))
    tuning: TuneParams = field(default_factory=TuneParams)
    device: str = "auto"
    types_background: bool | None = None  # As load_model takes it


@dataclass(frozen=True, eq=False)
class TokenPictures:
    """Samples to look at."""

    family: str
    features: Path
    indices: tuple[int, ...]  # Which samples of the file
    names: tuple[str, ...]
    images: UInt8  # Images, or tokens as colours where there are none
    truth: Int32 | None  # True nuclei
    of_tokens: bool  # Whether ``images`` show tokens
    notes: tuple[str, ...] = ()
    untold: frozenset[int] = frozenset()  # Places whose truth could not be read

    def truth_at(self, place: int) -> Int32 | None:
        """Return the true nuclei of a sample, or None if there are none to compare with."""
        return None if self.truth is None or place in self.untold else self.truth[place]


@dataclass(frozen=True, eq=False)
class TokenStacks:
    """What a run made; one plane per sample."""

    pictures: TokenPictures
    maps: TokenMaps
    labels: Int32  # Nuclei, numbered anew in each plane
    info: ModelInfo
    prefix: int  # Tokens that were taken to stand before the patches
    which: str  # "validation (fold 3)" ...
    means: dict[str, float]  # Means over the samples, of :data:`MEANS`; NaN where there is no truth
    counts: tuple[int, int]  # True and predicted nuclei
    tuning: TuneParams
    notes: tuple[str, ...]

    @property
    def summary(self) -> tuple[str, ...]:
        """What came out, in a few lines."""
        m, (true, found) = self.means, self.counts
        low, high = BROKEN_MAXIMA
        nuclei = f"{found:,} nuclei; there is no truth to compare with."
        inside, of_truth = "predicted", ""
        if true >= 0:
            inside, of_truth = "true", f" (truth {m['true_magnitude']:.2f})"
            nuclei = (
                f"AJI {m['aji']:.3f} (connected components {m['cc_aji']:.3f}, true maps "
                f"{m['oracle_aji']:.3f}); {found:,} nuclei, {true:,} true."
            )
        n = len(self.maps) - len(self.maps.errors)
        return (
            f"{n} samples of {self.pictures.family}: {self.which}.",
            nuclei,
            f"HV inside {inside} nuclei: magnitude {m['magnitude']:.2f}{of_truth}, direction "
            f"{m['cosine']:.2f}.",
            f"[Image maximum {m['largest']:.2f}: misleading, {low:g} to {high:g} in broken runs.]",
            f"Tokens before the patches: {self.prefix}.",
        )


def token_run_steps(request: TokenRequest) -> Generator[Progress, None, TokenStacks]:
    """Load, decode, separate and compare, step by step."""
    yield Progress(0, 0, "Reading the checkpoint ...")
    params, tuning, background = request.params, request.tuning, request.types_background
    model = load_model(request.checkpoint, request.device, types_background=background)
    data = find_token_data([Path(request.features)], "")
    check_tokens(model, data.shape, data.tokens.dtype, params)
    sides = membership(model.info, data)
    indices = choose_samples(sides, request.choice)
    maps = yield from predict_tokens_steps(model, data.tokens, params, indices)
    if not tuning.hv.plain:
        read = [read_hv(maps.maps(i), tuning.hv).hv for i in range(len(maps))]
        maps = replace(maps, hv=np.stack(read))
    pictures = yield from picture_steps(data, indices, request.choice.truth)
    labels, means, counts = yield from _judged(maps, pictures, tuning)
    failed = (f"not decoded: {text}" for text in maps.errors.values())
    about = model.info.notes if params.prefix == AS_FILE else ()
    return TokenStacks(
        pictures=pictures,
        maps=maps,
        labels=labels,
        info=model.info,
        prefix=params.tokens_before(model),
        which=sides.called(indices),
        means=means,
        counts=counts,
        tuning=tuning,
        notes=tuple(dict.fromkeys((*maps.notes, *failed, *about, *pictures.notes, *sides.notes))),
    )


def picture_steps(
    data: TokenData, indices: tuple[int, ...], truth: str = "auto"
) -> Generator[Progress, None, TokenPictures]:
    """Read images (or show tokens) and true nuclei of samples, step by step."""
    images: list[UInt8] = []
    labels: npt.NDArray[np.int32] = np.zeros((len(indices), OUTPUT, OUTPUT), np.int32)
    notes, untold = [*data.notes], set(range(len(indices)))
    for place, index in enumerate(indices):
        yield Progress(place, len(indices), f"Reading {data.name(index)}")
        image = data.image(index)
        images += [] if image is None else [image]
        try:
            found = truth_of(data, index, truth)
        except UserError as error:
            notes.append(str(error))
            continue
        if found is not None:
            labels[place] = found.labels
            untold.discard(place)
            notes += found.notes
    of_tokens = "image" not in data.has
    if of_tokens:
        yield Progress(0, 0, "Showing tokens as colours ...")
        notes.append("there are no images: patch tokens are shown by their principal components")
    return TokenPictures(
        data.family,
        data.features[0],
        indices,
        tuple(map(data.name, indices)),
        principal_rgb(data.tokens[list(indices)]) if of_tokens else np.stack(images),
        labels if len(untold) < len(indices) else None,
        of_tokens,
        tuple(dict.fromkeys(notes)),
        frozenset(untold),
    )


def _judged(
    maps: TokenMaps, pictures: TokenPictures, tuning: TuneParams
) -> Generator[Progress, None, tuple[Int32, dict[str, float], tuple[int, int]]]:
    """Separate every sample and compare it with its truth."""
    labels: npt.NDArray[np.int32] = np.zeros(maps.np.shape, np.int32)
    rows: list[dict[str, float]] = []
    true, found_nuclei = -1 if pictures.truth is None else 0, 0
    for place in (p for p in range(len(maps)) if p not in maps.errors):
        yield Progress(place, len(maps), f"Separating {pictures.names[place]}")
        one = maps.maps(place)
        labels[place] = separate(one, tuning.separation).labels
        truth = pictures.truth_at(place)
        if truth is None and pictures.truth is not None:
            continue  # its truth could not be read: no score, and no nuclei beside those of others
        found_nuclei += int(labels[place].max(initial=0))
        report = magnitude_report(one, labels[place] if truth is None else truth)
        row = {"magnitude": report.inside.mean, "largest": report.whole_image_max,
               "cosine": report.direction}  # fmt: skip
        if truth is not None:
            found = compare(truth, labels[place], one, tuning.separation)
            true += found.prediction.n_true
            row |= {
                "aji": found.prediction.aji,
                "cc_aji": found.connected_components.aji,
                "oracle_aji": found.oracle.aji,
                "true_magnitude": math.nan if found.hv is None else found.hv.true_magnitude,
            }
        rows.append(row)
    means = {k: bootstrap_mean([row.get(k, math.nan) for row in rows]).mean for k in MEANS}
    return labels, means, (true, found_nuclei)


def sample_steps(stacks: TokenStacks, place: int) -> Generator[Progress, None, SegmentResult]:
    """Separate and measure one sample."""
    if not 0 <= place < len(stacks.maps):
        raise InputError(f"There is no plane {place}; there are {len(stacks.maps)}.")
    if place in stacks.maps.errors:
        raise InputError(stacks.maps.errors[place])
    yield Progress(0, 0, "Measuring nuclei ...")
    maps, params = stacks.maps.maps(place), stacks.tuning.separation
    stages = separate(maps, params)
    return SegmentResult(
        labels=stages.labels,
        nuclei=measure(stages.labels, maps, type_names=stacks.info.types),
        info=stacks.info,
        params=SegmentParams(separation=params),
        offset=(0, 0),
        mpp=None,
        seconds=0.0,
        maps=maps,
        separation=stages,
        notices=stacks.notes,
        used=params,
    )


# --- tokens of images -----------------------------------------------------------------


@dataclass(frozen=True)
class TokenCache:
    """What was written."""

    files: tuple[Path, ...]
    shape: tuple[int, ...]  # (N, T, D) of the tokens
    prefix: int  # Tokens before the patches
    notes: tuple[str, ...] = ()


def find_pictures(path: Path) -> Dataset:
    """Find images: a family's data file, an ``images.npy``, a folder, an index or one image."""
    suffix = path.suffix.lower()
    if suffix not in (".npy", ".npz"):
        return find_data(path, DataChoice(need_labels=False))
    name = "images" if suffix == ".npz" else ""
    if name and name not in npz_members(path):
        open_member(path, name)  # says what is there instead
    images = npz_members(path)[name] if name else open_npy(path)
    if len(images.shape) != 4 or images.shape[3] != 3:
        raise InputError(f"{path} has images of shape {images.shape}; they must be (N, H, W, 3).")
    stack = Stack({"image": Stored(path, name, images.shape, images.dtype)})
    return dataset_of_stack(stack, str(path), [str(i) for i in range(images.shape[0])])


def read_picture(item: Item) -> UInt8:
    """Read the whole image of an item as uint8 (H, W, 3)."""
    if item.pair is None:
        return colours(item.read("image")["image"], f"image {item.name}")
    source = read_image(item.pair.image).source
    return source.read(0, source.shape[0], 0, source.shape[1])


def cache_steps(
    pictures: Dataset, backbone: Backbone, output: Path
) -> Generator[Progress, None, TokenCache]:
    """Compute the tokens of images and write them, step by step.

    Image files are also written, at 224 x 224, as ``F_data_FIXED.npz`` with ``inst_maps`` if all
    have labels, so that the folder can be used for evaluation and training at once.
    """
    if not output.name.endswith(FEATURES):
        raise InputError(f"{output.name} must be named FAMILY{FEATURES}, to be found again.")
    n, shape, notes = len(pictures), (0, 0), _size_notes(pictures, backbone)
    extra = {"image_ids": np.array([item.name for item in pictures])}
    with token_file(output, backbone.array, n, extra) as file:
        for step in token_steps(backbone, lambda i: read_picture(pictures[i]), n):
            if isinstance(step, Progress):
                yield step
                continue
            shape = step.shape[1:]
            file.extra["token_prefix"] = np.array(prefix_tokens(backbone.module, shape[0]))
            file.add(step)
    prefix = prefix_tokens(backbone.module, shape[0])
    files: tuple[Path, ...] = (output,)
    if pictures.stack is None:
        yield Progress(n, n, "Writing the images ...")
        data, more = _write_data(pictures, output)
        files, notes = (output, data), (*notes, *more)
    return TokenCache(files, (n, *shape), prefix, notes)


def _size_notes(pictures: Dataset, backbone: Backbone) -> tuple[str, ...]:
    """Say so where images are much larger than what the backbone sees."""
    height, width = read_picture(pictures[0]).shape[:2]
    size = backbone.params.size
    if max(height, width) <= SHRUNK * size:
        return ()
    return (
        f"the first image is {height} x {width} pixels and is resized to {size} x {size}: its "
        f"nuclei shrink {max(height, width) / size:.1f} times. Cut it into tiles of about {size} "
        "pixels first",
    )


def _write_data(pictures: Dataset, output: Path) -> tuple[Path, tuple[str, ...]]:
    path, edges = output.with_name(output.name.removesuffix(FEATURES) + DATA), (OUTPUT, OUTPUT)
    images = [cv2.resize(read_picture(i), edges, interpolation=cv2.INTER_AREA) for i in pictures]
    known = [
        nearest(read_labels(p.labels, read_picture(item).shape[:2], bare_name(p.image)).labels)
        for item in pictures
        if (p := item.pair) is not None and p.labels
    ]
    names = np.array([item.name for item in pictures])
    arrays: dict[str, Any] = {"images": np.stack(images), "image_ids": names}
    notes: tuple[str, ...] = ()
    if len(known) == len(images):
        arrays["inst_maps"] = np.stack(known).astype(np.int32)
    elif known:
        notes = (f"only {len(known)} of {len(images)} images have labels: they are left out",)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return path, notes
