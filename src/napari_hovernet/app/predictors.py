"""Where the predictions of a batch come from: a model, or a folder of label files."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from ..core.hv_reading import read_hv
from ..core.image import ImageSource
from ..core.io.dataset import Pair
from ..core.io.images import read_image
from ..core.io.label_names import labels_of, list_files
from ..core.io.labels_file import read_labels
from ..core.model import Model
from ..core.params import InferenceParams, SeparationParams
from ..core.scale import scaled_separation, working_scale
from ..core.separation import separate
from ..core.truth import Truth
from ..core.tuning import TuneParams
from ..core.types import Bool, Int32, Maps, Progress
from ..errors import InputError
from .segment import SegmentParams, model_metadata, segment_steps

FILES_HOW = "none: labels were read from files"


@dataclass(frozen=True, eq=False)
class Predicted:
    """A prediction for one image.

    Parameters
    ----------
    image : ImageSource
        For pictures.
    labels : int32 (H, W)
        Instances, 0 = background.
    maps : Maps, optional
        What they were cut from, HV read as the parameters say.
    mask : bool (H, W), optional
        Mask of the separation.
    separation : SeparationParams
        What they were cut with, lengths in pixels of this image.
    mpp, scale : float
        As in :class:`.batch_types.ImageRow`.
    truth : Truth, optional
        True labels, where they do not lie in a file of their own.
    notes : tuple of str
    """

    image: ImageSource
    labels: Int32
    maps: Maps | None = None
    mask: Bool | None = None
    separation: SeparationParams = field(default_factory=SeparationParams)
    mpp: float | None = None
    scale: float = 1.0
    truth: Truth | None = None
    notes: tuple[str, ...] = ()


class Predictor(Protocol):
    """Anything that gives a prediction for a pair; one more kind is one more class."""

    def describe(self) -> dict[str, Any]:
        """Say where the predictions come from, JSON-able."""
        ...

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        """Predict for one image, step by step.

        Raises
        ------
        UserError
            If there can be no prediction for it.
        """
        ...


@dataclass(frozen=True)
class ModelPredictor:
    """Runs a network, as :func:`.segment.segment_steps` does.

    Parameters
    ----------
    model : Model
    inference : InferenceParams
        ``image_mpp`` None = as the image file says, or with ``use_mpp`` as the data set says.
    tuning : TuneParams
        How HV is read and nuclei are cut, lengths in pixels of an image of the model's mpp.
    use_mpp : bool
        Whether the mpp of the data set counts. It is often a guess, or missing.

    Examples
    --------
    >>> predictor = ModelPredictor(model, InferenceParams())  # doctest: +SKIP
    """

    model: Model
    inference: InferenceParams = field(default_factory=InferenceParams)
    tuning: TuneParams = field(default_factory=TuneParams)
    use_mpp: bool = False

    def describe(self) -> dict[str, Any]:
        """Return model, parameters and how the resolution is handled."""
        if self.inference.image_mpp is not None:
            how = "every image is taken to have image_mpp"
        else:
            how = "mpp of the data set, else of the file" if self.use_mpp else "mpp of the file"
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
        inference = self.inference
        if inference.image_mpp is None:
            stated = pair.mpp if self.use_mpp and pair.mpp is not None else file.mpp
            inference = replace(inference, image_mpp=stated)
        scale = working_scale(self.model.info, inference)
        params = SegmentParams(inference, self.tuning.separation)
        result = yield from segment_steps(self.model, file.source, params)
        maps, stages = result.maps, result.separation
        if maps is None or stages is None:
            raise InputError(f"{pair.name}: the run kept no maps.")  # pragma: no cover
        used = scaled_separation(self.tuning.separation, scale)
        if not self.tuning.hv.plain:
            maps = read_hv(maps, self.tuning.hv)
            stages = separate(maps, used)
        return Predicted(
            image=file.source,
            labels=stages.labels,
            maps=maps,
            mask=stages.mask,
            separation=used,
            mpp=inference.image_mpp,
            scale=scale,
            notes=result.notices,
        )


@dataclass(frozen=True)
class FolderPredictor:
    """Reads predicted labels from files; no network runs, so there are no maps.

    Parameters
    ----------
    folder : Path
        Holds a label file for each image under the image's name, or the pair's, alone or
        with an ending like ``_labels``: what ``segment`` writes, or another program.
    separation : SeparationParams
        Of the oracle: which separation the true maps go through.

    Raises
    ------
    InputError
        If it is no folder that can be read.

    Examples
    --------
    >>> FolderPredictor(Path("results")).describe()["predictions"]  # doctest: +SKIP
    'results'
    """

    folder: Path
    separation: SeparationParams = field(default_factory=SeparationParams)

    def __post_init__(self) -> None:
        if not list_files(self.folder):
            raise InputError(f"The folder of predictions {self.folder} holds no file.")

    def describe(self) -> dict[str, Any]:
        """Return the folder."""
        return {
            "model": None,
            "predictions": str(self.folder),
            "separation": asdict(self.separation),
            "resampling": FILES_HOW,
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
        instances = read_labels(found, file.source.shape)
        if instances.labels.shape != file.source.shape:
            raise InputError(
                f"{found} is {_by(instances.labels.shape)} pixels, the image {pair.image.name} "
                f"{_by(file.source.shape)}; give the prediction at the image's resolution."
            )
        notes = (*file.source.notes, *(f"prediction: {note}" for note in instances.notes))
        return Predicted(
            file.source, instances.labels, separation=self.separation, mpp=file.mpp, notes=notes
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
