"""Where predictions of an evaluation come from: a network, files, arrays."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ..core.data.items import Dataset, Item
from ..core.data.load import eight_bits, image_scale
from ..core.data.pairs import Pair, labels_of, list_files
from ..core.hv import read_hv
from ..core.inference.images import ImageSource, as_source
from ..core.inference.tiles import scaled_separation, working_scale
from ..core.io.labels import check_labels, renumbered
from ..core.io.open import read_image, read_labels
from ..core.measure.compare import Truth, check_truth
from ..core.measure.nuclei import measure
from ..core.params import InferenceParams, SeparationParams
from ..core.separation import separate
from ..core.separation.tuning import TuneParams
from ..core.types import Bool, Int32, Maps, Model, Progress, TypeInfo, TypeScheme
from ..errors import InputError
from .segment import SegmentParams, model_metadata, segment_steps
from .typed import majority, regrouped, types_by_id

NUMBERS = "true types in arrays have no names: their numbers are taken for the model's"


@dataclass(frozen=True, eq=False)
class Predicted:
    """A prediction for one image."""

    image: ImageSource  # For pictures
    labels: Int32  # int32 (H, W): Instances, 0 = background
    maps: Maps | None = None  # What they were cut from, HV read as the parameters say
    mask: Bool | None = None  # bool (H, W): Mask of the separation
    separation: SeparationParams = field(default_factory=SeparationParams)
    mpp: float | None = None  # As in ImageRow
    scale: float = 1.0
    truth: Truth | None = None  # True labels, where they do not lie in a file of their own
    types: Mapping[int, int] | None = None  # By id, where nuclei have types
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Predictor(Protocol):
    """Anything that gives a prediction for a pair; one more kind is one more class."""

    def describe(self) -> dict[str, Any]:
        """Say where the predictions come from, JSON-able."""
        ...

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Predict for one image, step by step."""
        ...


@dataclass(frozen=True)
class ModelPredictor:
    """Runs a network, as :func:`.segment.segment_steps` does."""

    model: Model
    inference: InferenceParams = field(default_factory=InferenceParams)
    tuning: TuneParams = field(default_factory=TuneParams)
    use_mpp: bool = False  # Whether the mpp of the data set counts

    def describe(self) -> dict[str, Any]:
        """Return model, parameters and how the resolution is handled."""
        how = "mpp of the data set, else of the file" if self.use_mpp else "mpp of the file"
        if self.inference.image_mpp is not None:
            how = "every image is taken to have image_mpp"
        return {
            "model": model_metadata(self.model.info),
            "device": str(self.model.device),
            "inference": asdict(self.inference),
            "separation": asdict(self.tuning.separation),
            "hv_reading": asdict(self.tuning.hv),
            "resampling": f"{how}; where it is not known, or within the tolerance of the "
            "model's, images are not resized (see mpp and scale of each row)",
        }

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Read, predict and separate one image."""
        yield Progress(0, 0, "reading")
        file = read_image(pair.image)
        stated = pair.mpp if self.use_mpp and pair.mpp is not None else file.mpp
        return (yield from self._predicted(pair.name, file.source, stated))

    def _predicted(
        self, name: str, source: ImageSource, mpp: float | None
    ) -> Generator[Progress, None, Predicted]:
        inference = self.inference
        if inference.image_mpp is None:
            inference = replace(inference, image_mpp=mpp)
        params = SegmentParams(inference, self.tuning.separation)
        result = yield from segment_steps(self.model, source, params)
        maps, stages = result.maps, result.separation
        if maps is None or stages is None:
            raise InputError(f"{name}: the run kept no maps.")  # pragma: no cover
        scale = working_scale(self.model.info, inference)
        used = scaled_separation(self.tuning.separation, scale)
        if not self.tuning.hv.plain:
            maps = read_hv(maps, self.tuning.hv)
            stages = separate(maps, used)
        names, nuclei = self.model.info.types, result.nuclei
        if names and not self.tuning.hv.plain:
            nuclei = measure(stages.labels, maps, names)
        return Predicted(source, stages.labels, maps, stages.mask, used, inference.image_mpp,
                         scale, notes=result.notices, types=types_by_id(nuclei) if names else None,
                         type_names=names)  # fmt: skip


@dataclass(frozen=True)
class StackPredictor(ModelPredictor):
    """Runs a network on images that lie in arrays (PanNuke, CoNIC ...), and brings their truth."""

    data: tuple[Dataset, ...] = ()  # One for each stack of arrays

    @cached_property
    def _items(self) -> dict[str, tuple[Item, float]]:
        """Images by name, and by what their values are multiplied."""
        scales = [image_scale(data)[0] for data in self.data]
        return {i.name: (i, x) for data, x in zip(self.data, scales, strict=True) for i in data}

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Name the images as pairs of a data set."""
        return tuple(
            Pair(i.name, Path(data.origin), None, data.origin, split=i.split, group=i.group)
            for data in self.data
            for i in data
        )

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Read, predict and separate one image."""
        yield Progress(0, 0, "reading")
        item, scale = self._items[pair.name]
        raw = item.read("image", "labels", "types")
        image = eight_bits(raw["image"], pair.name, scale)
        found = yield from self._predicted(pair.name, as_source(image), pair.mpp)
        truth = check_truth(renumbered(raw["labels"], pair.name)[0], image.shape[:2])
        if found.type_names and "types" in raw:
            kinds = majority(truth.labels, check_labels(raw["types"], f"{pair.name}: types"))
            notes = (*truth.notes, NUMBERS)
            truth = replace(truth, types=kinds, type_names=found.type_names, notes=notes)
        return replace(found, truth=truth)


@dataclass(frozen=True)
class FolderPredictor:
    """Reads predicted labels from files; no network runs, so there are no maps."""

    folder: Path
    separation: SeparationParams = field(default_factory=SeparationParams)
    scheme: TypeScheme | None = None  # How their types are taken together

    def __post_init__(self) -> None:
        if not list_files(self.folder):
            raise InputError(f"The folder of predictions {self.folder} holds no file.")

    def describe(self) -> dict[str, Any]:
        """Return the folder."""
        return {
            "model": None,
            "predictions": str(self.folder),
            "separation": asdict(self.separation),
            "resampling": "none: labels were read from files",
        }

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Read image and predicted labels."""
        yield Progress(0, 0, "reading")
        file = read_image(pair.image)
        files = list_files(self.folder)
        named = Path(f"{Path(pair.name).name}.png")
        found = labels_of(pair.image, files, apart=True) or labels_of(named, files, apart=True)
        if found is None:
            raise InputError(
                f"{self.folder} holds no prediction for {pair.image.name}; name it after the "
                f"image, like {pair.image.stem}_labels.tif."
            )
        if pair.labels is not None and found.resolve() == pair.labels.resolve():
            raise InputError(
                f"{found} is the true label file; give a folder that holds predictions alone."
            )
        read = read_labels(found, file.source.shape)
        if read.labels.shape != file.source.shape:
            ours, theirs = (" x ".join(map(str, x.shape)) for x in (read.labels, file.source))
            raise InputError(
                f"{found} is {ours} pixels, the image {pair.image.name} {theirs}; give the "
                "prediction at the image's resolution."
            )
        notes = (*file.source.notes, *(f"prediction: {note}" for note in read.notes))
        types, names = None, read.type_names
        if read.type.any():
            by_id = dict(zip(read.ids.tolist(), read.type.tolist(), strict=True))
            types, names = regrouped(by_id, read.type_names, self.scheme)
        return Predicted(file.source, read.labels, separation=self.separation, mpp=file.mpp,
                         notes=notes, types=types, type_names=names)  # fmt: skip
