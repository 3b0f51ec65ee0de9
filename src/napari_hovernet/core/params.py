"""Every adjustable number of the pipeline: named, documented and checked, each in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from ..errors import InputError
from .choices import check_choices, choice, described
from .weights import DEFAULT

TILINGS = ("large", "reference")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
VIEWS = (1, 2, 8)
"""Views of an image that are averaged: itself, its mirror image, all eight turns."""
METHODS = ("local", "hover_net", "magnitude_peaks")
LOCAL, PUBLISHED, PEAKS = ("local",), ("hover_net",), ("magnitude_peaks",)
"""Methods of separation, for the parameters that one of them alone reads."""
FAULTS = {
    "magnitude_peaks": "Faulty on purpose: seeds are the peaks of the HV magnitude, which is about "
    "0 in the centre of a nucleus and 1 on its rim, so nuclei break up along their rims.",
    "merging_relabel": "Faulty on purpose: after the watershed the union of all instances is "
    "labelled anew, so touching nuclei merge again, whatever the network predicted.",
}
"""Presets that repeat historical mistakes, and what is wrong with each."""
PRESETS = ("local", "hover_net", *FAULTS)
MAX_SCALE = 64.0
"""Largest sigma in pixels for differentiating HV; beyond it the halo of a band explodes."""

# A choice reads as a paragraph, not as a column of arguments:
# fmt: off


@described
@dataclass(frozen=True)
class InferenceParams:
    """How an image goes through the network.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> InferenceParams(tile=512).tiling
    'large'
    """

    tiling: str = choice(
        "large", "Tiling", "'large' picks big tiles from the device's memory; 'reference' repeats "
        "hover_net's own tiles (270 -> 80, 256 -> 164, reflect padding).",
        options=TILINGS, option="tiling")
    tile: int | None = choice(
        None, "Tile size", "Edge of the network's input, rounded up to its next legal size; None "
        "= by the device's memory.",
        unit="px", above=0, step=64, span=(64, 8192), none="automatic", option="tile")
    batch: int | None = choice(
        None, "Batch", "Tiles per forward pass; None = by the device's memory.",
        unit="tiles", above=0, step=1, span=(1, 256), none="automatic", option="batch")
    image_mpp: float | None = choice(
        None, "Resolution", "Micrometres per pixel of the image; None = as its file says.",
        unit="um/px", above=0, step=0.01, span=(0.05, 10), none="as the file says",
        option="image-mpp")
    model_mpp: float | None = choice(
        None, "Model's resolution", "Micrometres per pixel the network was trained at; None = as "
        "the checkpoint says. The image is resampled when both are known and differ by more than "
        "mpp_tolerance.",
        unit="um/px", above=0, step=0.01, span=(0.05, 10), none="as the checkpoint says",
        option="model-mpp")
    mpp_tolerance: float = choice(
        0.10, "Tolerance", "Relative difference of resolution that is left alone.",
        low=0, step=0.01, span=(0, 1))
    precision: str = choice(
        "auto", "Precision", "Arithmetic of the network; 'auto' = bfloat16 on a GPU that has it, "
        "float32 elsewhere.",
        options=PRECISIONS, option="precision")
    views: int = choice(
        1, "Views", "Careful mode: 2 averages the maps of the image and of its mirror image, 8 "
        "those of all eight flips and turns. It takes as many times as long, and finds a little "
        "more.", options=VIEWS, option="views")
    streamed: str = choice(
        "auto", "Streamed", "'on' reads ahead, copies beside the network's work, and brings back "
        "NP in 8 bits, HV in 16 and the likeliest type; 'auto' = on where only nuclei are wanted "
        "from a CUDA GPU.", options=("auto", "on", "off"), option="streamed")
    compiled: str = choice(
        "off", "Compiled", "'on' lets torch compile the network first: half a minute and more once "
        "a process, which pays over many large images. Never in a program with windows.",
        options=("off", "on"), option="compiled")

    def __post_init__(self) -> None:
        check_choices(self)

    def for_maps(self) -> InferenceParams:
        """Return those for maps that are kept: full ones, unless packed ones are asked for."""
        return replace(self, streamed="off") if self.streamed == "auto" else self


@described
@dataclass(frozen=True)
class SeparationParams:
    """How instances are cut out of NP and HV maps.

    *local* is ours: nothing depends on what else is in the tile. *hover_net* is the published
    post-processing, tile-wide stretching included. *magnitude_peaks* and ``merge_touching``
    repeat historical mistakes, kept to show what they do.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> SeparationParams.preset("hover_net").sobel_size
    21
    """

    method: str = choice(
        "local", "Method", "How touching nuclei are taken apart.", options=METHODS)
    np_threshold: float = choice(
        0.45, "NP threshold", "Least probability (0 to 1) at which a pixel is nucleus.",
        low=0, high=1, span=(0.05, 0.95), step=0.01, option="np-threshold")
    min_area: int = choice(
        20, "Smallest part", "Connected areas of the mask with fewer pixels are dropped.",
        unit="px", low=0, span=(0, 500), step=1, option="min-area")
    max_hole_area: int = choice(
        200, "Largest hole", "Holes of up to this many pixels are filled, if one nucleus has all "
        "of them.",
        unit="px", low=0, span=(0, 2000), step=10, reads=LOCAL)
    scales: tuple[float, ...] = choice(
        (1.5, 3.0), "Scales", "Sigmas of the Gaussians through which HV is differentiated: fine "
        "ones draw the borders, coarse ones tell one nucleus from two.",
        titles=("Fine scale", "Coarse scale"),
        unit="px", above=0, high=MAX_SCALE, span=(0.5, 20), step=0.1, reads=LOCAL)
    depth: float = choice(
        0.15, "Depth", "Two basins of the energy are one nucleus if the pass between them lies "
        "less than this above the floor of the shallower one. Raise it when nuclei break up; "
        "lower it when touching ones stay together. Energy is sigma times how fast HV closes in "
        "per pixel: about -0.4 inside a nucleus 20 px wide, up to +0.5 between two.",
        low=0, span=(0, 1), step=0.01, reads=LOCAL)
    oblique: float = choice(
        0.25, "Oblique borders", "How far (0 to 1) the lower principal strain of HV takes the "
        "place of its divergence: finds borders between rows and columns, and costs calm.",
        low=0, high=1, step=0.01, reads=LOCAL)
    min_mean_np: float = choice(
        0.6, "Least mean NP", "Nuclei whose mean probability (0 to 1) is lower are dropped.",
        low=0, high=1, span=(0, 0.99), step=0.01, reads=LOCAL)
    magnitude_low: float = choice(
        0.5, "Weak HV up to", "Where the mean HV magnitude around is lower, HV is lengthened to "
        "it, so that weak maps separate too.",
        above=0, span=(0.05, 1.5), step=0.01, reads=LOCAL)
    magnitude_high: float = choice(
        0.9, "Strong HV from", "Where the mean HV magnitude around is higher, HV is shortened to "
        "it.",
        above=0, span=(0.05, 2.0), step=0.01, reads=LOCAL)
    magnitude_window: int = choice(
        129, "Neighbourhood", "Edge of the square in which that mean is taken; odd.",
        unit="px", low=1, span=(9, 513), step=2, odd=True, reads=LOCAL)
    sobel_size: int = choice(
        21, "Sobel kernel", "Edge of the kernel that differentiates HV; odd.",
        unit="px", low=3, high=31, step=2, odd=True, reads=PUBLISHED)
    energy_threshold: float = choice(
        0.4, "Border strength", "From this strength (0 to 1) on a pixel is border, not marker.",
        low=0, high=1, step=0.01, reads=PUBLISHED)
    blur_size: int = choice(
        3, "Blur", "Edge of the Gaussian that smooths the energy; odd.",
        unit="px", low=1, span=(1, 31), step=2, odd=True, reads=PUBLISHED)
    opening_size: int = choice(
        5, "Opening", "Edge of the ellipse that cleans the markers; odd.",
        unit="px", low=1, span=(1, 31), step=2, odd=True, reads=PUBLISHED)
    min_marker_area: int = choice(
        10, "Smallest marker", "Markers of fewer pixels are dropped.",
        unit="px", low=0, span=(0, 500), step=1, reads=PUBLISHED)
    peak_distance: int = choice(
        5, "Peak distance", "Least distance between two peaks of the magnitude.",
        unit="px", low=1, span=(1, 40), step=1, reads=PEAKS)
    merge_touching: bool = choice(False, "Label the union anew", FAULTS["merging_relabel"])
    band_rows: int = choice(
        512, "Rows at a time", "Of the magnitude around, by one thread; never changes the result.",
        unit="px", low=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))
        check_choices(self)
        if not self.scales:
            raise InputError("scales is empty; give one or more sigmas, like (1.5, 3.0).")
        if self.magnitude_low > self.magnitude_high:
            raise InputError(
                f"magnitude_low is {self.magnitude_low} and magnitude_high "
                f"{self.magnitude_high}; give 0 < low <= high."
            )

    @classmethod
    def preset(cls, name: str = "local") -> SeparationParams:
        """Look up a named set of numbers.

        Parameters
        ----------
        name : str
            "local" (default), "hover_net" (as published), or one of two that repeat a
            historical mistake and say so in ``FAULTS``: "magnitude_peaks" and
            "merging_relabel" (all of the mask, cut and then merged again).

        Raises
        ------
        InputError
            If the name is not known.

        Examples
        --------
        >>> SeparationParams.preset("merging_relabel").merge_touching
        True
        """
        if name not in PRESETS:
            raise InputError(f"preset is {name!r}; choose one of {', '.join(PRESETS)}.")
        if name == "local":
            return cls()
        published = cls(method="hover_net", np_threshold=0.5, min_area=10, max_hole_area=0)
        if name == "magnitude_peaks":
            return replace(published, method="magnitude_peaks")
        if name == "merging_relabel":
            everything = replace(published, method="local", min_area=0, min_mean_np=0.0)
            return replace(everything, merge_touching=True)
        return published


SCHEMA = 1
"""Version of the form in which a configuration is written."""
FREEZING = ("nothing", "encoder", "all but heads", "two phases")
SCHEDULES = ("constant", "cosine", "step")
TRAIN_PRECISIONS = ("auto", "32", "bf16", "16")
FAMILY_ENDINGS: Mapping[str, str] = {
    "features": "_features", "targets": "_targets", "data": "_data_fixed",
}  # fmt: skip
"""What follows the family in the names of its files, small letters."""
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "glandular": ("breast", "prostate", "thyroid", "pancreatic", "adrenalgland"),
    "digestive": ("colon", "stomach", "esophagus", "bileduct"),
    "urologic": ("kidney", "bladder", "testis", "ovarian", "uterus", "cervix"),
    "epidermal": ("skin", "headandneck", "headneck"),
    "respiratory": ("lung", "liver"),
}
"""Organ families of the token decoder, and PanNuke's tissues in each, small letters alone."""
CONVENTIONS = (
    "auto", "default", "hover_net", "vh_inward_radial", "vh_inward_resized", "hv_inward_peak"
)
"""How stored HV targets may be read: presets of ``HVConvention``, or found out."""
SCRATCH = "scratch:"
"""Prefix of a starting point that is not a file: "scratch:compact" is an untrained network."""

T = TypeVar("T")


def _weight(default: float, title: str, text: str, option: str) -> Any:
    return choice(default, title, text, low=0, span=(0, 100), step=0.5, option=option,
                  group="loss", always=True)


@described
@dataclass(frozen=True)
class LossParams:
    """Weights of the loss.

    ``total = lambda_np np + lambda_hv hv + lambda_nt nt`` with
    ``hv = hv_mse + lambda_gradient hv_gradient + lambda_magnitude hv_magnitude``.

    Raises
    ------
    InputError
        If a weight is negative, infinite or NaN, or an epsilon is not above 0.
    """

    lambda_np: float = _weight(
        1.0, "NP (nucleus or not)", "Weight of the cross-entropy and Dice of NP.",
        "lambda-np")
    lambda_hv: float = _weight(
        2.0, "HV (directions)", "Weight of all of HV: squared error, gradient and magnitude.",
        "lambda-hv")
    lambda_nt: float = _weight(
        1.0, "NT (types)", "Weight of the types; counts only where model and data have them.",
        "lambda-nt")
    lambda_gradient: float = _weight(
        3.0, "HV: gradient", "Weight, within HV, of the error of its derivative, which is what "
        "cuts nuclei apart.", "lambda-gradient")
    lambda_magnitude: float = _weight(
        5.0, "HV: lambda_magnitude", "Weight, within HV, of the error of its length. It buys "
        "length, not direction: look at the cosine too.", "lambda-magnitude")
    epsilon: float = choice(
        1e-6, "Epsilon", "Added under the root of the magnitude. 1e-6 survives 16-bit arithmetic, "
        "1e-8 does not; larger ones shrink the gradient near 0.",
        above=0, span=(1e-12, 1.0), factors=True, option="epsilon", group="loss")
    dice_smooth: float = choice(
        1e-5, "Dice smoothing", "Added to both sides of the Dice fraction.",
        above=0, span=(1e-12, 1.0), factors=True, option="dice-smooth", group="loss")
    nt_inside_only: bool = choice(
        True, "Types only in nuclei", "Count the types in nuclei alone, not over the background.",
        option="nt-inside-only", group="loss")
    adaptive: bool = choice(
        False, "Learned weights (adaptive)", "Weigh NP, HV and NT by learned numbers s: sum of "
        "exp(-s) times the loss plus s.", option="adaptive-loss", group="loss")

    def __post_init__(self) -> None:
        check_choices(self)


LOSS_PRESETS: Mapping[str, LossParams] = {
    "default": LossParams(),
    "expert fix": LossParams(lambda_hv=3.0, lambda_gradient=3.0, lambda_magnitude=5.0),
    "before the fix": LossParams(lambda_hv=2.0, lambda_gradient=2.0, lambda_magnitude=1.0),
    "published HoVer-Net": LossParams(lambda_hv=1.0, lambda_gradient=1.0, lambda_magnitude=0.0),
}
"""Weights by name; the second and third are those of the story (see the documentation)."""


def _share(default: float, title: str, text: str, option: str) -> Any:
    return choice(default, title, f"{text} Share of the crops, 0 to 1.", low=0, high=1, step=0.1,
                  option=option, group="augmentation")


@described
@dataclass(frozen=True)
class AugmentParams:
    """How crops are varied; ranges are uniform unless said otherwise."""

    on: bool = choice(
        True, "Augmentation", "Vary the crops, so that the model sees more than there is.",
        option="augment", group="augmentation", always=True)
    flips: bool = choice(
        True, "Flips and quarter turns", "HV is computed from the nuclei after each flip, so it "
        "can never disagree with it.", option="flips", group="augmentation")
    p_rotate: float = _share(0.5, "Free rotation", "Rotation by any angle.", "p-rotate")
    scale: tuple[float, float] = choice(
        (0.8, 1.25), "Scale", "Factors of magnification, log-uniform; 1 = none.",
        titles=("Smallest scale", "Largest scale"), above=0, span=(0.1, 4), step=0.05,
        option="scale", group="augmentation")
    p_stain: float = _share(0.6, "Stain", "Other strengths of the stains, in optical density.",
                            "p-stain")
    stain_gain: tuple[float, float] = choice(
        (0.6, 1.5), "Strength of the stains", "Factors of each stain's strength.",
        titles=("Weakest stain", "Strongest stain"), above=0, span=(0.05, 4), step=0.05,
        option="stain-gain", group="augmentation")
    stain_vectors: float = choice(
        0.05, "Stain colours", "Spread of the colours of the stains themselves; 0 = kept.",
        low=0, high=0.99, step=0.01, option="stain-vectors", group="augmentation")
    p_tone: float = _share(0.5, "Tone", "Gamma, white balance and contrast.", "p-tone")
    p_blur: float = _share(0.2, "Blur", "Out of focus.", "p-blur")
    p_noise: float = _share(0.2, "Noise", "Camera noise.", "p-noise")
    p_jpeg: float = _share(0.1, "JPEG", "Artefacts of compression.", "p-jpeg")

    def __post_init__(self) -> None:
        for name in ("scale", "stain_gain"):
            pair = getattr(self, name)
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise InputError(f"{name} is {pair!r}; give two numbers, low and high.")
        check_choices(self)
        for name in ("scale", "stain_gain"):
            low, high = (float(number) for number in getattr(self, name))
            object.__setattr__(self, name, (low, high))
            if low > high:
                raise InputError(f"{name} is {(low, high)}; give 0 < low <= high.")


@described
@dataclass(frozen=True)
class DataParams:
    """What to train on.

    ``sources`` are files and folders: an index.csv, a folder of images with label files, PanNuke
    folds, hover_net patches (.npy, .mat), family .npz files. ``validation`` are places of the same
    kinds whose images are validated on alone; without them a share of the sources is.
    """

    sources: tuple[str, ...] = ()
    family: str = choice(
        "", "Organ family", "Which family's files to take, for the token decoder; empty for "
        "images.", options=("", *FAMILIES), loose=True, option="family", group="data")
    val_fraction: float = choice(
        0.2, "Validation", "Share of the source images kept for validation where the data name "
        "none. Whole images, never crops of them.",
        above=0, high=0.999, span=(0.05, 0.95), step=0.05, option="val-fraction",
        group="data")
    crop: int = choice(
        256, "Crop", "Edge of the training crops; rounded to what the network can take.",
        unit="px", low=1, span=(16, 4096), step=32, option="crop", group="data",
        always=True)
    hv_convention: str = choice(
        "auto", "Stored HV", "How stored HV targets are read: a preset, or auto = found out and "
        "said. Targets of label images are computed and need none.",
        options=CONVENTIONS, loose=True, option="hv-convention", group="data")
    types: str = choice(
        "", "Types", "File of names and colours of the types, and of which types of the data each "
        "takes together; empty = as the data have them.", option="types", group="data")
    types_background: bool = choice(
        True, "Types have background", "Whether type 0 of stored types is background. Off = it is "
        "the first type, as the Optimus family stores them, and all are numbered one higher.",
        option="types-background", group="data")
    max_val: int = choice(
        16, "Validation images", "Scored after each epoch at most; more take longer and tell "
        "more.", unit="at most", low=1, span=(1, 10_000), step=1, option="max-val",
        group="data")
    validation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("sources", "validation"):
            object.__setattr__(self, name, tuple(str(s) for s in getattr(self, name)))
        check_choices(self)


@described
@dataclass(frozen=True)
class OptimParams:
    """How weights are changed (AdamW)."""

    epochs: int = choice(
        20, "Epochs", "Rounds over the training data; after each the validation images are "
        "scored.", low=1, span=(1, 1_000_000), step=1, option="epochs", group="training",
        always=True)
    batch: int = choice(
        8, "Batch", "Crops per step. More take more memory and give a steadier gradient.",
        unit="crops", low=1, span=(1, 512), step=1, option="batch", group="training",
        always=True)
    steps_per_epoch: int | None = choice(
        None, "Steps per epoch", "Steps that make one epoch; None = as many as cover the training "
        "area once.", low=1, span=(1, 1_000_000), step=1, none="automatic",
        option="steps-per-epoch", group="training")
    lr: float = choice(
        1e-4, "Learning rate", "1e-4 is usual for fine-tuning, 1e-3 for a small network from "
        "scratch.", above=0, span=(1e-12, 10.0), factors=True, option="lr", group="training",
        always=True)
    weight_decay: float = choice(
        1e-4, "Weight decay", "Pulls weights towards 0.",
        low=0, span=(0, 10.0), factors=True, option="weight-decay", group="training")
    schedule: str = choice(
        "cosine", "Schedule", "How the learning rate goes: constant, cosine (falls to 0 at the "
        "end), step (a tenth from half of the epochs on).",
        options=SCHEDULES, option="schedule", group="training", always=True)
    warmup_steps: int = choice(
        0, "Warm-up", "Steps over which the learning rate rises from 0.",
        unit="steps", low=0, span=(0, 1_000_000), step=1, option="warmup-steps",
        group="training")
    freeze: str = choice(
        "nothing", "Frozen", "What stays as it is: nothing, the encoder, all but the heads. Two "
        "phases = the published recipe: encoder frozen in the first half of the epochs, free in "
        "the second.", options=FREEZING, option="freeze", group="training",
        always=True)
    clip: float = choice(
        5.0, "Clip gradients at", "Largest norm of the gradient; one bad crop then does little "
        "harm. 0 = not clipped.", low=0, span=(0, 1000), step=0.5, option="clip",
        group="training")

    def __post_init__(self) -> None:
        check_choices(self)


@described
@dataclass(frozen=True)
class TrainConfig:
    """One training run; data, loss, augment and optim are parameters of their own."""

    start: str = choice(
        DEFAULT, "Start from", "Checkpoint to start from: a built-in model, a file, or "
        "'scratch:NAME' for an untrained network (scratch:compact).")
    name: str = choice(
        "run", "Name", "Of the run and its folder: letters, digits, spaces, '-', '_' and '.'.")
    data: DataParams = field(default_factory=DataParams)
    loss: LossParams = field(default_factory=LossParams)
    augment: AugmentParams = field(default_factory=AugmentParams)
    optim: OptimParams = field(default_factory=OptimParams)
    precision: str = choice(
        "auto", "Precision", "Arithmetic: auto = 16 bits (bf16) on a GPU that has it, else 32. 16 "
        "needs the epsilon of 1e-6.",
        options=TRAIN_PRECISIONS, option="precision", group="machine")
    device: str = choice(
        "auto", "Device", "auto, cpu, cuda or mps.", option="device", group="machine")
    devices: int = choice(
        1, "GPUs", "Of each machine; more than one are started by Lightning's own launcher.",
        low=1, step=1, option="devices", group="machine")
    num_nodes: int = choice(
        1, "Machines", "That train together; see --prepare.",
        low=1, step=1, option="num-nodes", group="machine")
    num_workers: int = choice(
        0, "Loaders", "Processes that load data; 0 = the training process itself, which is "
        "safest.", low=0, span=(0, 64), step=1, option="num-workers", group="machine")
    seed: int = choice(
        0, "Seed", "The same seed, data and settings give the same run on the CPU.",
        low=0, span=(0, 1_000_000), step=1, option="seed", group="training",
        always=True)
    save_epochs: tuple[int, ...] = choice(
        (5,), "Keep the models of", "Epochs (from 1) whose models are kept, beside the best and "
        "the last, as in 5,20.", option="save-epochs", group="training")
    threads: int = choice(
        0, "CPU threads", "Of the training process; 0 = all. The viewer leaves itself one.",
        low=0, span=(0, 1024), step=1, option="threads", group="machine")

    def __post_init__(self) -> None:
        object.__setattr__(self, "save_epochs", tuple(int(e) for e in self.save_epochs))
        check_choices(self)
        bare = self.name.strip() == self.name != ""
        if not bare or not all(c.isalnum() or c in "-_. " for c in self.name):
            raise InputError(
                f"name is {self.name!r}; use letters, digits, '-', '_' and '.', and spaces within."
            )


# fmt: on
@dataclass(frozen=True)
class LossTerm:
    """A term of the loss: the head it belongs to, what people call it, its weight in the head."""

    head: str
    title: str
    weight: str = ""  # Field of LossParams; "" = 1

    def weight_in(self, params: LossParams) -> float:
        """Weight within its head."""
        return float(getattr(params, self.weight)) if self.weight else 1.0


LOSS_HEADS = ("np", "hv", "nt")
"""Heads of the network, in the order of the learned weights; ``lambda_HEAD`` weighs each."""
LOSS_TERMS: Mapping[str, LossTerm] = {
    "np": LossTerm("np", "NP"),
    "hv_mse": LossTerm("hv", "HV error"),
    "hv_gradient": LossTerm("hv", "HV slope", "lambda_gradient"),
    "hv_magnitude": LossTerm("hv", "HV length", "lambda_magnitude"),
    "nt": LossTerm("nt", "type"),
}
"""All terms; how each is computed stands in :mod:`.losses` under the same name."""
LOSS_PARTS = tuple(LOSS_TERMS)
"""Names of the terms, whose weighted shares make up the total."""
LOSS_NAMES = (*LOSS_PARTS, "hv")
"""Names of what the loss returns; "hv" is what the terms of that head make together."""


def config_as_dict(config: TrainConfig) -> dict[str, Any]:
    """Give a configuration as plain values (JSON-able)."""
    return {"schema": SCHEMA, **_plain(asdict(config))}


def config_from_dict(values: Mapping[str, Any], where: str = "The configuration") -> TrainConfig:
    """Read a configuration back; what is missing takes its default."""
    known = dict(values)
    schema = known.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(f"{where} has schema {schema!r}; this version reads {SCHEMA}: update it.")
    return from_values(TrainConfig(), known, where)


LARGEST = 1e15
"""No number in a file is as large as this."""


def from_values(default: T, values: Mapping[str, Any], where: str, largest: float = LARGEST) -> T:
    """Read a parameters class from plain values of a file; what is missing stays as it is."""
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: {values!r} is no set of named values.")
    names = {f.name for f in fields(default)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(
            f"{where}: {', '.join(unknown)} is not known; it may need a newer version."
        )
    changes = {
        n: _like(getattr(default, n), v, f"{where}, {n}", largest) for n, v in values.items()
    }
    try:
        return replace(default, **changes)  # type: ignore[type-var]
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _like(default: Any, value: Any, where: str, largest: float) -> Any:
    """Check that a value is of the kind of the default; None stands for an optional number."""
    if is_dataclass(default):
        return from_values(default, value, where, largest)
    if isinstance(default, tuple):
        if isinstance(value, list | tuple):
            return tuple(_like(default[0], v, where, largest) if default else v for v in value)
    elif isinstance(default, bool | str):
        if isinstance(value, type(default)):
            return value
    elif value is None and default is None:
        return None
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= largest:
        if isinstance(default, float):
            return float(value)
        if float(value).is_integer():
            return int(value)
    raise InputError(f"{where} is {value!r}; give something like {default!r}.")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
