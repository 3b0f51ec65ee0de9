"""Run a token decoder on the samples of a features file: stacks of maps, nuclei and truth."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ..core.checkpoint import load_model
from ..core.data.kinds import eight_bits
from ..core.data.pairs import DataChoice, Pair, find_data
from ..core.data.stores import npz_members, open_member, open_npy
from ..core.hv import read_hv
from ..core.inference.images import UInt8, as_source
from ..core.io.files import atomic_path
from ..core.io.open import read_image, read_labels
from ..core.measure.compare import Truth, check_truth, compare, hv_scores
from ..core.measure.magnitude import BROKEN_MAXIMA, magnitude_report
from ..core.measure.metrics import bootstrap_mean
from ..core.measure.nuclei import measure
from ..core.networks.optimus import OUTPUT
from ..core.separation import separate
from ..core.separation.tuning import TuneParams
from ..core.tokens.backbone import Backbone, prefix_tokens, token_steps
from ..core.tokens.data import (
    Membership,
    TokenData,
    TokenFile,
    TokenTruth,
    find_token_data,
    membership,
    nearest,
    truth_of,
)
from ..core.tokens.decode import (
    AS_FILE,
    TokenMaps,
    TokenParams,
    check_tokens,
    predict_tokens_steps,
    prefix_of,
    principal_rgb,
    slice_words,
    stored_prefix,
)
from ..core.types import Int32, Model, ModelInfo, Progress
from ..errors import InputError, UserError
from .evaluate import Predicted
from .segment import SegmentParams, SegmentResult, model_metadata


@dataclass(frozen=True)
class TokenChoice:
    """Which samples of a family are meant, and how they are read."""

    n_samples: int | None = None  # None = all
    split: str | None = None  # None = validation where it is known, else all
    seed: int | None = None  # Draw the samples by it
    truth: str = "auto"  # See :data:`napari_hovernet.core.tokens.data.TRUTHS`.


def choose_samples(sides: Membership, choice: TokenChoice) -> tuple[int, ...]:
    """List the samples that are meant, in the order of the file."""
    there = sides.chosen(choice.split)
    n = choice.n_samples
    if n is None or n >= len(there):
        return there
    if n < 1:
        raise InputError(f"The number of samples is {n}; give 1 or more.")
    if choice.seed is not None:
        drawn = np.random.default_rng(choice.seed).choice(len(there), n, replace=False)
        return tuple(there[i] for i in sorted(drawn.tolist()))
    return tuple(there[i * len(there) // n] for i in range(n))


def token_pairs(data: TokenData, sides: Membership, indices: Sequence[int]) -> tuple[Pair, ...]:
    """Name samples as pairs of a data set; their image is the features file."""
    file: Path = data.features[0]
    return tuple(
        Pair(data.name(i), file, None, data.family, split=sides.splits[i]) for i in indices
    )


@dataclass
class TokenPredictor:
    """Decodes the tokens of samples, a batch at a time, and brings their truth along."""

    model: Model  # A token decoder
    data: TokenData
    indices: tuple[int, ...]  # Samples, in the order in which they will be asked for
    params: TokenParams = field(default_factory=TokenParams)
    tuning: TuneParams = field(default_factory=TuneParams)  # How HV is read and nuclei are cut
    truth: str = "auto"  # See :data:`napari_hovernet.core.tokens.data.TRUTHS`.
    true_magnitudes: dict[str, float] = field(default_factory=dict, init=False)
    _decoded: tuple[TokenMaps, dict[int, int]] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        tokens = self.data.tokens
        check_tokens(self.model, tokens.shape, tokens.dtype, self.params.prefix)
        self._by_name = {self.data.name(i): i for i in self.indices}

    @property
    def prefix(self) -> int:
        """Tokens before the first patch."""
        return prefix_of(self.params.prefix, stored_prefix(self.model))

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
        decoded, places = yield from self._batch_with(index)
        place = places[index]
        if place in decoded.errors:
            raise InputError(decoded.errors[place])
        maps = read_hv(decoded.maps(place), self.tuning.hv)
        stages = separate(maps, self.tuning.separation)
        found = truth_of(self.data, index, self.truth)
        if found is not None:
            self.true_magnitudes[pair.name] = hv_scores(maps.hv, found.labels).true_magnitude
        return Predicted(
            image=as_source(sample_image(self.data, index)),
            labels=stages.labels,
            maps=maps,
            mask=stages.mask,
            separation=self.tuning.separation,
            truth=None if found is None else _checked(found),
        )

    def _batch_with(
        self, index: int
    ) -> Generator[Progress, None, tuple[TokenMaps, dict[int, int]]]:
        """Return a decoded batch that holds a sample, and the place of each in it."""
        if self._decoded is None or index not in self._decoded[1]:
            at = self.indices.index(index)
            batch = self.indices[at : at + self.params.batch]
            self._decoded = None  # its memory is free before the next is decoded
            tokens = self.data.tokens
            try:
                found = yield from predict_tokens_steps(self.model, tokens, self.params, batch)
            except InputError:  # every sample of the batch: tell of this one alone
                batch = (index,)
                found = yield from predict_tokens_steps(self.model, tokens, self.params, batch)
            self._decoded = found, {i: place for place, i in enumerate(batch)}
        return self._decoded


def sample_image(data: TokenData, index: int) -> UInt8:
    """Return the image of a sample, its tokens as colours where there is none.

    Returns uint8 (224, 224, 3).
    """
    image = data.image(index)
    if image is None:
        image = principal_rgb(np.asarray(data.tokens[index : index + 1], np.float32))[0]
    return image


def _checked(found: TokenTruth) -> Truth:
    truth = check_truth(found.labels, (found.labels.shape[0], found.labels.shape[1]))
    return Truth(truth.labels, truth.n, (*found.notes, *truth.notes))


MOST_SHOWN = 64
"""Samples of a file that are shown without being asked for more, evenly spread."""
MEANS = ("aji", "cc_aji", "oracle_aji", "magnitude", "true_magnitude", "cosine", "largest")


@dataclass(frozen=True)
class TokenRequest:
    """What to run."""

    checkpoint: str  # A file of the token decoder
    features: str  # ``F_features.npz``.
    params: TokenParams = field(default_factory=TokenParams)
    choice: TokenChoice = field(default_factory=lambda: TokenChoice(n_samples=20))
    tuning: TuneParams = field(default_factory=TuneParams)
    device: str = "auto"


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
        n = len(self.maps) - len(self.maps.errors)
        low, high = BROKEN_MAXIMA
        inside = "true" if true >= 0 else "predicted"
        lines = [f"{n} samples of {self.pictures.family}: {self.which}."]
        if true >= 0:
            lines.append(
                f"AJI {m['aji']:.3f} (connected components {m['cc_aji']:.3f}, true maps "
                f"{m['oracle_aji']:.3f}); {found:,} nuclei, {true:,} true."
            )
        else:
            lines.append(f"{found:,} nuclei; there is no truth to compare with.")
        of_truth = f" (truth {m['true_magnitude']:.2f})" if true >= 0 else ""
        lines.append(
            f"HV inside {inside} nuclei: magnitude {m['magnitude']:.2f}{of_truth}, direction "
            f"{m['cosine']:.2f}."
        )
        lines.append(
            f"[Image maximum {m['largest']:.2f}: misleading, {low:g} to {high:g} in broken runs.]"
        )
        lines.append(f"Tokens before the patches: {self.prefix}.")
        return tuple(lines)


def token_run_steps(request: TokenRequest) -> Generator[Progress, None, TokenStacks]:
    """Load, decode, separate and compare, step by step."""
    yield Progress(0, 0, "Reading the checkpoint ...")
    model = load_model(request.checkpoint, request.device)
    data = find_token_data([Path(request.features)], "")
    tokens = data.tokens
    check_tokens(model, tokens.shape, tokens.dtype, request.params.prefix)
    sides = membership(model.info, data)
    indices = choose_samples(sides, request.choice)
    maps = yield from predict_tokens_steps(model, tokens, request.params, indices)
    maps = _read_as(maps, request.tuning)
    pictures = yield from picture_steps(data, indices, request.choice.truth)
    labels, means, counts = yield from _judged(maps, pictures, request.tuning)
    return TokenStacks(
        pictures=pictures,
        maps=maps,
        labels=labels,
        info=model.info,
        prefix=prefix_of(request.params.prefix, stored_prefix(model)),
        which=sides.called(indices),
        means=means,
        counts=counts,
        tuning=request.tuning,
        notes=_said(model.info, maps, pictures, sides.notes, request.params.prefix),
    )


def picture_steps(
    data: TokenData, indices: tuple[int, ...], truth: str = "auto"
) -> Generator[Progress, None, TokenPictures]:
    """Read images (or show tokens) and true nuclei of samples, step by step."""
    images, labels, notes = [], [], list(data.notes)
    of_tokens = "images" not in data.arrays
    for place, index in enumerate(indices):
        yield Progress(place, len(indices), f"Reading {data.name(index)}")
        image = data.image(index)
        if image is not None:
            images.append(image)
        try:
            found = truth_of(data, index, truth)
        except UserError as error:
            found = None
            notes.append(str(error))
        labels.append(None if found is None else found.labels)
        notes += [] if found is None else found.notes
    if of_tokens:
        yield Progress(0, 0, "Showing tokens as colours ...")
        notes.append("there are no images: patch tokens are shown by their principal components")
    stack = (
        principal_rgb(np.stack([data.tokens[i] for i in indices]))
        if of_tokens
        else np.stack(images)
    )
    return TokenPictures(
        data.family,
        data.features[0],
        indices,
        tuple(data.name(i) for i in indices),
        stack,
        _stacked(labels),
        of_tokens,
        tuple(dict.fromkeys(notes)),
    )


def evenly(n: int, most: int = MOST_SHOWN) -> tuple[int, ...]:
    """Choose samples to look at, evenly spread."""
    k = min(n, most)
    return tuple(i * n // k for i in range(k))


def _stacked(labels: list[Int32 | None]) -> Int32 | None:
    """Stack labels; a sample without any is empty, none at all is None."""
    there = [x for x in labels if x is not None]
    if not there:
        return None
    empty = np.zeros_like(there[0])
    return np.stack([empty if x is None else x for x in labels])


def _read_as(maps: TokenMaps, tuning: TuneParams) -> TokenMaps:
    if tuning.hv.plain:
        return maps
    hv = np.stack([read_hv(maps.maps(i), tuning.hv).hv for i in range(len(maps))])
    return TokenMaps(maps.np, hv, maps.types, maps.indices, maps.errors, maps.notes)


def _judged(
    maps: TokenMaps, pictures: TokenPictures, tuning: TuneParams
) -> Generator[Progress, None, tuple[Int32, dict[str, float], tuple[int, int]]]:
    """Separate every sample and compare it with its truth."""
    n = len(maps)
    labels: npt.NDArray[np.int32] = np.zeros(maps.np.shape, np.int32)
    rows: list[dict[str, float]] = []
    true = 0
    for place in range(n):
        yield Progress(place, n, f"Separating {pictures.names[place]}")
        if place in maps.errors:
            continue
        one = maps.maps(place)
        labels[place] = separate(one, tuning.separation).labels
        truth = None if pictures.truth is None else pictures.truth[place]
        inside = labels[place] if truth is None else truth
        report = magnitude_report(one, inside)
        row = {"magnitude": report.inside.mean, "largest": report.whole_image_max,
               "cosine": report.direction}  # fmt: skip
        if truth is not None:
            found = compare(truth, labels[place], one, tuning.separation)
            true += found.prediction.n_true
            row |= {
                "aji": found.prediction.aji,
                "cc_aji": found.connected_components.aji,
                "oracle_aji": found.oracle.aji,
                "true_magnitude": float("nan") if found.hv is None else found.hv.true_magnitude,
            }
        rows.append(row)
    nan = float("nan")
    means = {name: bootstrap_mean([row.get(name, nan) for row in rows]).mean for name in MEANS}
    n_found = int(labels.max(axis=(1, 2), initial=0).sum())
    return labels, means, (true if pictures.truth is not None else -1, n_found)


def _said(
    info: ModelInfo,
    maps: TokenMaps,
    pictures: TokenPictures,
    sides: tuple[str, ...],
    choice: str,
) -> tuple[str, ...]:
    about = info.notes if choice == AS_FILE else ()
    failed = (f"not decoded: {text}" for text in maps.errors.values())
    return tuple(dict.fromkeys((*maps.notes, *failed, *about, *pictures.notes, *sides)))


FEATURES, DATA = "_features.npz", "_data_FIXED.npz"
SHRUNK = 2.0
"""Images more than this much larger than the backbone's input lose their nuclei."""


class Pictures(Protocol):
    """Images by number; one more kind of place is one more class."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images."""
        ...

    def read(self, index: int) -> UInt8:
        """Read an image, uint8 (H, W, 3)."""
        ...

    def labels(self, index: int) -> Int32 | None:
        """Read its true labels (H, W), None if there are none."""
        ...


@dataclass(frozen=True)
class ArrayPictures:
    """Images of one array (N, H, W, 3) in an .npy or .npz; its targets stay where they are."""

    path: Path
    name: str = ""  # Of the array in an .npz, "" of an .npy

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or self.array.shape[3] != 3 or not len(self.array):
            raise InputError(
                f"{self.path} has images of shape {self.array.shape}; they must be (N, H, W, 3)."
            )

    @property
    def array(self) -> npt.NDArray[Any]:
        """The array, mapped into memory where it can be."""
        return open_member(self.path, self.name) if self.name else open_npy(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Numbers of the images."""
        return tuple(str(i) for i in range(len(self.array)))

    def read(self, index: int) -> UInt8:
        """Read one image; floats of 0..1 are multiplied by 255."""
        image = np.array(self.array[index])
        unit = image.dtype.kind == "f" and float(image.max(initial=0)) <= 1.0
        return eight_bits(image, f"image {index}", 255.0 if unit else 1.0)

    def labels(self, index: int) -> Int32 | None:
        """Return None: the targets lie beside the images already."""
        del index
        return None


@dataclass(frozen=True)
class FilePictures:
    """Image files, with label files where there are any."""

    pairs: tuple[Pair, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images."""
        return tuple(pair.name for pair in self.pairs)

    def read(self, index: int) -> UInt8:
        """Read one image."""
        source = read_image(self.pairs[index].image).source
        height, width = source.shape
        return source.read(0, height, 0, width)

    def labels(self, index: int) -> Int32 | None:
        """Read its labels."""
        file = self.pairs[index].labels
        return None if file is None else read_labels(file).labels


@dataclass(frozen=True)
class TokenCache:
    """What was written."""

    files: tuple[Path, ...]
    shape: tuple[int, ...]  # (N, T, D) of the tokens
    prefix: int  # Tokens before the patches
    notes: tuple[str, ...] = field(default=())


def find_pictures(path: Path) -> Pictures:
    """Find images: a family's data file, an ``images.npy``, a folder, an index or one image."""
    if path.suffix.lower() == ".npy":
        return ArrayPictures(path)
    if path.suffix.lower() == ".npz":
        if "images" not in npz_members(path):
            open_member(path, "images")  # says what is there instead
        return ArrayPictures(path, "images")
    found = find_data(path, DataChoice(need_labels=False))
    return FilePictures((*found.pairs, *found.unpaired))


def cache_steps(
    pictures: Pictures, backbone: Backbone, output: Path
) -> Generator[Progress, None, TokenCache]:
    """Compute the tokens of images and write them, step by step.

    Image files are also written, at 224 x 224, as ``F_data_FIXED.npz`` with ``inst_maps`` if all
    have labels, so that the folder can be used for evaluation and training at once.
    """
    if not output.name.endswith(FEATURES):
        raise InputError(f"{output.name} must be named FAMILY{FEATURES}, to be found again.")
    n, shape, notes = len(pictures.names), (0, 0), _size_notes(pictures, backbone)
    extra = {"image_ids": np.array(pictures.names)}
    with TokenFile(output, backbone.array, n, extra) as file:
        for step in token_steps(backbone, pictures.read, n):
            if isinstance(step, Progress):
                yield step
                continue
            shape = step.shape[1:]
            file.extra["token_prefix"] = np.array(prefix_tokens(backbone.module, shape[0]))
            file.add(step)
    prefix = prefix_tokens(backbone.module, shape[0])
    files: tuple[Path, ...] = (output,)
    if isinstance(pictures, FilePictures):
        yield Progress(n, n, "Writing the images ...")
        data, more = _write_data(pictures, output)
        files, notes = (output, data), (*notes, *more)
    return TokenCache(files, (n, *shape), prefix, notes)


def _size_notes(pictures: Pictures, backbone: Backbone) -> tuple[str, ...]:
    """Say so where images are much larger than what the backbone sees."""
    height, width = pictures.read(0).shape[:2]
    size = backbone.params.size
    if max(height, width) <= SHRUNK * size:
        return ()
    return (
        f"the first image is {height} x {width} pixels and is resized to {size} x {size}: its "
        f"nuclei shrink {max(height, width) / size:.1f} times. Cut it into tiles of about {size} "
        "pixels first",
    )


def _write_data(pictures: FilePictures, output: Path) -> tuple[Path, tuple[str, ...]]:
    path = output.with_name(output.name.removesuffix(FEATURES) + DATA)
    n = len(pictures.names)
    edges = (OUTPUT, OUTPUT)
    images = [cv2.resize(pictures.read(i), edges, interpolation=cv2.INTER_AREA) for i in range(n)]
    labels = [pictures.labels(i) for i in range(n)]
    arrays: dict[str, Any] = {"images": np.stack(images), "image_ids": np.array(pictures.names)}
    known = [nearest(x).astype(np.int32) for x in labels if x is not None]
    notes: tuple[str, ...] = ()
    if len(known) == n:
        arrays["inst_maps"] = np.stack(known)
    elif known:
        notes = (f"only {len(known)} of {n} images have labels: they are left out",)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)
    return path, notes


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
