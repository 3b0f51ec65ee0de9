"""What planted faults stand on: the form of a fault, images, networks, set-ups, small changes.

For faults.py. Nothing here knows how the diagnosis works; a fault is planted in the arguments of
``napari_hovernet.diagnose``, and says which findings and remedies would be right.
"""

from __future__ import annotations

import copy
import csv
import os
import re
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
import torch
from PIL import Image
from skimage.data import immunohistochemistry
from token_family import tokens_of
from torch.nn import functional

import napari_hovernet as nh
from napari_hovernet.core.data.samples import Turn, turn_plane
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.networks.hovernet import HoVerNet
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.networks.registry import Network
from napari_hovernet.core.synthetic import tissue

Given = dict[str, Any]
"""Arguments of ``diagnose``."""
Plant = Callable[[Given], Given]
Mend = str | tuple[str, Any]
"""Words (a pattern) of the remedy's text; or a field of the set-up and its value: a number or
some (about as much, to 2 px), a function of it that tells whether it is right, or ... for any."""
ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("NAPARI_HOVERNET_SHARED", ROOT.parent / "shared"))
DIM, PREFIX, GRID = 64, 5, 16
"""Length of a token, tokens before the patches, patches along an edge."""
COSTS = {"fast": "slow", **dict.fromkeys(
    ("model", "lite", "typed", "bare", "function", "tokens"), "normal")}  # fmt: skip
"""Of a case by the kind of its base; others, without a network, are cheap."""


def half_of(name: str) -> str:
    """Tell whether bounds may be tuned on a case, or figures are reported of it."""
    return ("tune", "report")[zlib.crc32(name.encode()) % 2]


@dataclass(frozen=True)
class Fault:
    """One thing to plant: where, how, which findings name it, and what mends it."""

    name: str
    base: str  # "kind:source", of KINDS and of SOURCES
    plant: Plant
    ids: str  # Of findings that name the cause, the closest first
    mends: tuple[Mend, ...]  # Any of these is the right remedy
    tag: str = ""  # "cheap", "normal" or "slow"; "" = as its base

    @property
    def family(self) -> str:
        """Family of the check that should find it."""
        return self.ids.partition(".")[0]

    @property
    def cost(self) -> str:
        """Seconds it takes: cheap up to 3, normal up to 20, slow beyond."""
        return self.tag or COSTS.get(self.base.partition(":")[0], "cheap")

    def given(self) -> Given:
        """Make the arguments of ``diagnose``."""
        return self.plant(base(self.base))

    def mended_by(self, remedy: Any) -> bool:
        """Tell whether a remedy is one of the right ones."""
        words = f"{remedy.text} {remedy.plain}"
        return any(
            re.search(mend, words, re.IGNORECASE) is not None
            if isinstance(mend, str)
            else remedy.action == mend[0] and _fits(remedy.value, mend[1])
            for mend in self.mends
        )


def _fits(value: Any, wanted: Any) -> bool:
    if wanted is ...:
        return True
    if callable(wanted):
        return bool(wanted(value))
    if isinstance(wanted, float):
        apart, change = abs(np.log(value / wanted)), abs(np.log(wanted))
        return bool(apart < min(0.2, 0.4 * change))  # clearly not "as it is"
    if isinstance(wanted, list):  # pixels
        return bool(np.abs(np.subtract(value, wanted)).max() <= 2)
    if isinstance(wanted, tuple):
        return tuple(value) == wanted
    return bool(value == wanted)


def undoes(change: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """Accept the flip and quarter turns that take a change of a plane back."""
    probe = np.arange(16).reshape(4, 4)
    return lambda v: np.array_equal(turn_plane(change(probe), Turn(bool(v[0]), int(v[1]))), probe)


# --- images ----------------------------------------------------------------------------

EDGE = 320
"""Longest edge of an image."""
SOURCES = {
    "white": ("dsb18_white_bg", "train", 6),
    "purple": ("dsb18_purple_bg", "train", 6),
    "val": ("dsb18", "val", 6),
    "one": ("dsb18_purple_bg", "val", 1),
    "twelve": ("dsb18_white_bg", "train", 12),
    "monuseg": ("monuseg", "val", 4),
    "monuseg train": ("monuseg", "train", 4),
    "consep": ("consep", "", 4),
}
"""Part of the group's name, split, images."""
CONSEP = ("consep_01", "consep_18", "consep_19", "consep_20", "consep_22", "consep_06")
"""Those on which the built-in network does well, so that what goes wrong was planted."""


@cache
def _rows(source: str) -> tuple[dict[str, str], ...]:
    group, split, n = SOURCES[source]
    folder = SHARED / "data" / ("consep" if group == "consep" else "")
    with open(folder / "index.csv", newline="") as file:
        rows = [{**row, "folder": str(folder)} for row in csv.DictReader(file)]
    if group == "consep":
        return tuple(row for row in rows if row["name"] in CONSEP[:n])
    rows = [r for r in rows if group in r["source"] + r["group"] and r["split"] == split]
    return tuple(rows[i * len(rows) // n] for i in range(n))


@cache
def _read(path: str) -> Any:
    return np.asarray(Image.open(path))


def crops(
    source: str, at: tuple[int, int] = (0, 0), edge: int = EDGE
) -> tuple[list[Any], list[Any]]:
    """Cut images and their labels, whose ids stay as they are in the whole image."""
    part = np.s_[at[0] : at[0] + edge, at[1] : at[1] + edge]
    whole = [(_read(f"{r['folder']}/{r['path']}"), _read(f"{r['folder']}/{r['label']}"))
             for r in _rows(source)]  # fmt: skip
    return [a[part][..., :3].copy() for a, _ in whole], [b[part].astype("i4") for _, b in whole]


def consep_types(edge: int = EDGE) -> list[Any]:
    """Types of each pixel of the CoNSeP crops: 1 miscellaneous ... 4 spindle."""
    planes = []
    for row, labels in zip(_rows("consep"), crops("consep", edge=edge)[1], strict=True):
        table = np.loadtxt(f"{row['folder']}/{row['types']}", int, delimiter=",", skiprows=1)
        lookup = np.zeros(max(labels.max(), table[:, 0].max()) + 1, np.int32)
        lookup[table[:, 0]] = table[:, 1]
        planes.append(lookup[labels])
    return planes


@cache
def generated(seed: int = 0, n: int = 4) -> tuple[Any, ...]:
    """Generate tissue."""
    return tuple(tissue((256, 256), seed=seed + i) for i in range(n))


def images_of(source: str) -> Given:
    """Give images and labels of a source (those of "ihc" and "slide" have no labels)."""
    if source == "gen":
        made = generated()
        return {"images": [t.image for t in made], "labels": [t.labels for t in made]}
    if source == "ihc":
        whole = immunohistochemistry()
        return {"images": [whole[:256, :256], whole[:256, 256:], whole[256:, :256]]}
    if source == "slide":  # pink H&E of 0.5 um per pixel, brought to 0.25
        whole = tifffile.imread(SHARED / "slides" / "CMU-1-Small-Region.svs")
        parts = [whole[r : r + 160, c : c + 160] for r, c in ((600, 300), (1500, 900))]
        return {"images": [cv2.resize(a, (EDGE, EDGE), interpolation=3) for a in parts]}
    return dict(zip(("images", "labels"), crops(source), strict=True))


# --- networks --------------------------------------------------------------------------

_PREDICTED: dict[int, Any] = {}


@cache
def model() -> Any:
    """Load the built-in model."""
    return nh.load_model("compact")


@cache
def lite() -> Any:
    """Load the model that the program starts with."""
    return nh.load_model("lite-typed")


def predicted(image: Any) -> Any:
    """Predict by the built-in model; what was asked before is kept."""
    key = hash((image.shape, np.ascontiguousarray(image).tobytes()))
    if key not in _PREDICTED:
        _PREDICTED[key] = nh.predict(model(), image)
    return _PREDICTED[key]


def golden_rule(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Fill a weight as the reference networks are filled."""
    x = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    if "unpool" in key:
        made = np.ones(shape)
    elif key.endswith("running_var"):
        made = 1 + 0.2 * abs(x)
    elif key.endswith(("running_mean", "bias")):
        made = 0.05 * x
    else:
        made = x * np.sqrt(1 / np.prod(shape[1:])) if x.ndim == 4 else 1 + 0.1 * x
    return torch.from_numpy(np.asarray(made, np.float32))


@cache
def fast() -> Any:
    """Build a hover_net of mode fast that was never trained."""
    network = HoVerNet("fast", 6)
    network.load_state_dict({k: golden_rule(k, tuple(v.shape))
                             for k, v in network.state_dict().items()})  # fmt: skip
    return replace(model(), network=network.eval(),
                   info=replace(model().info, architecture="hovernet", mode="fast"))  # fmt: skip


@cache
def token_samples(n: int, seed: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Make images, labels and tokens that know their nuclei."""
    made = generated(seed, n)
    tokens = [tokens_of(t.labels, DIM, PREFIX, seed=seed + i) for i, t in enumerate(made)]
    return [t.image for t in made], [t.labels for t in made], tokens


@cache
def decoder() -> Any:
    """Train a small token decoder, for a minute or two; kept in the temporary folder."""
    file = Path(tempfile.gettempdir()) / "napari-hovernet-faults-decoder.pt"
    network = OptimusDecoder(DIM, 32, None, PREFIX)
    if file.exists():
        network.load_state_dict(torch.load(file, weights_only=True))
        return network.eval()
    torch.manual_seed(0)
    network = OptimusDecoder(DIM, 32, None, PREFIX).train()
    _learn(network, *token_samples(8, 100)[1:])
    own = file.with_suffix(f".{os.getpid()}")
    torch.save(network.state_dict(), own)
    own.replace(file)
    return network.eval()


def _learn(network: Any, labels: list[Any], tokens: list[Any], steps: int = 120) -> None:
    true = [cv2.resize(a.astype("f4"), (224, 224), interpolation=0).astype(int) for a in labels]
    x, inside = torch.from_numpy(np.stack(tokens)), torch.from_numpy(np.stack(true) > 0).long()
    hv = torch.from_numpy(np.stack([hv_targets(a) for a in true]))
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)
    for step in range(steps):
        some = torch.arange(2) + 2 * (step % (len(true) // 2))
        out, mask = network(x[some]), inside[some]
        error = (out["hv"] - hv[some]).square().sum(1)
        loss = functional.cross_entropy(out["np"], mask) + 2 * (error * mask).sum() / mask.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


# --- set-ups ---------------------------------------------------------------------------


def _model(source: str) -> Given:
    return {"model": model(), "separation": "local", **images_of(source)}


def _function(source: str) -> Given:
    return {**_model(source), "model": predicted}


def _targets(source: str) -> Given:
    given = images_of(source)
    stored = {"np": [(a > 0).astype(np.uint8) for a in given["labels"]],
              "hv": [hv_targets(a) for a in given["labels"]]}  # fmt: skip
    return {**given, **stored}


def _maps(source: str) -> Given:
    if source == "golden":  # of another network, in float16
        files = [np.load(f) for f in sorted((SHARED / "golden" / "predicted").glob("d*.npz"))]
        names = {"labels": "labels", "np": "np_prob", "hv": "hv_pred"}
        return {name: [f[stored] for f in files] for name, stored in names.items()}
    given = images_of(source)
    maps = [predicted(image) for image in given["images"]]
    return {**given, "np": [m.np for m in maps], "hv": [m.hv for m in maps], "hv_are": "maps"}


def _types(source: str) -> Given:
    if source == "consep":
        return {**images_of(source), "types": consep_types(), "n_types": 5}
    planes = [np.concatenate(([0], t.types))[t.labels].astype(np.int32) for t in generated()]
    return {**images_of(source), "types": planes, "n_types": 6}


def _tokens(source: str) -> Given:
    names = ("images", "labels", "features")
    return {"model": decoder(), **dict(zip(names, token_samples(4, 200), strict=True))}


KINDS: dict[str, Callable[[str], Given]] = {
    "data": images_of,
    "model": _model,
    "lite": lambda source: {**_model(source), "model": lite()},
    "typed": lambda source: {**_model(source), **_types(source), "model": lite()},
    "bare": lambda source: without("labels")(_model(source)),
    "function": _function,
    "targets": _targets,
    "maps": _maps,
    "types": _types,
    "tokens": _tokens,
    "fast": lambda source: {**_model(source), "model": fast()},
    "nothing": lambda source: {},
}


def base(name: str) -> Given:
    """Make a set-up with nothing planted: "model:purple", "maps:golden" ..."""
    kind, _, source = name.partition(":")
    return KINDS[kind](source)


# --- small changes ---------------------------------------------------------------------


def put(**changes: Any) -> Plant:
    """Set arguments."""
    return lambda given: {**given, **changes}


def without(*names: str) -> Plant:
    """Leave something out."""
    return lambda given: {k: v for k, v in given.items() if k not in names}


def both(*plants: Plant) -> Plant:
    """Do one after the other."""

    def plant(given: Given) -> Given:
        for each in plants:
            given = each(given)
        return given

    return plant


def every(name: str, change: Callable[[Any], Any], step: int = 1) -> Plant:
    """Change every array of a stack (each ``step``-th from the first)."""
    return lambda g: {**g, name: [change(a) if i % step == 0 else a for i, a in enumerate(g[name])]}


def squares(edge: int = 256) -> Plant:
    """Cut all arrays square, the part at the top left."""

    def plant(given: Given) -> Given:
        axes = {"images": np.s_[:edge, :edge]}
        arrays = {n: [a[axes.get(n, np.s_[..., :edge, :edge])] for a in given[n]]
                  for n in ("images", "labels", "np", "hv", "types") if n in given}  # fmt: skip
        return {**given, **arrays}

    return plant


def moved(name: str, rows: int, cols: int, step: int = 1) -> Plant:
    """Move arrays down and to the right; 0 comes in."""

    def change(array: Any) -> Any:
        rolled = np.roll(array, (rows, cols), (-2, -1))
        rolled[..., :rows, :] = 0
        rolled[..., :cols] = 0
        return rolled

    return every(name, change, step)


def resized(factor: float) -> Plant:
    """Resize images and labels: another magnification than the model knows."""

    def size(a: Any) -> tuple[int, int]:
        return (round(a.shape[1] * factor), round(a.shape[0] * factor))

    return both(
        every("images", lambda a: cv2.resize(a, size(a), interpolation=cv2.INTER_AREA)),
        every("labels", lambda a: cv2.resize(a, size(a), interpolation=cv2.INTER_NEAREST)),
    )


class Tampered(Network):
    """A network whose input or output somebody got wrong."""

    def __init__(self, inner: Network, before: Any, after: Any) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, before, after
        self.geometry, self.config, self.accepts = inner.geometry, inner.config, inner.accepts

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the network, tampered with."""
        out = self.inner(x if self.before is None else self.before(x))
        return out if self.after is None else self.after(dict(out))


def network(before: Any = None, after: Any = None) -> Plant:
    """Plant something before or after the network."""

    def plant(given: Given) -> Given:
        old = given["model"]
        return {**given, "model": replace(old, network=Tampered(old.network, before, after).eval())}

    return plant


def after_hv(change: Callable[[torch.Tensor], torch.Tensor]) -> Plant:
    """Plant something in the HV that a network gives."""
    return network(after=lambda out: {**out, "hv": change(out["hv"])})


def weights(change: Callable[[Any], None]) -> Plant:
    """Plant something in a copy of the network's weights."""

    def plant(given: Given) -> Given:
        own = copy.deepcopy(given["model"].network)
        with torch.no_grad():
            change(own)
        return {**given, "model": replace(given["model"], network=own.eval())}

    return plant


def function(change: Callable[[Any], Any]) -> Plant:
    """Give a plain function of an image in place of a model."""
    return put(model=change)


def returns(change: Callable[[Any, Any], Any]) -> Plant:
    """Give a plain function whose NP and HV somebody got wrong."""

    def own_network(image: Any) -> Any:
        maps = predicted(image)
        return change(maps.np.copy(), maps.hv.copy())

    return put(model=own_network)
