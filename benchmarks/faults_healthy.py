"""Set-ups in which nothing is wrong, and faults that are planted two at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from faults_common import (
    SHARED,
    Given,
    base,
    both,
    crops,
    every,
    generated,
    without,
)
from faults_data import jpeg, stored_as
from faults_rest import angle_without_vectors, cut, drawn, flips, mean
from PIL import Image

from napari_hovernet.core.diagnosis.case import Setup
from napari_hovernet.core.hv import HVConvention, hv_targets
from napari_hovernet.core.losses import HoverLoss
from napari_hovernet.core.params import LOSS_PRESETS
from napari_hovernet.core.synthetic import planted_maps

bare = without("labels")


def _with(name: str, *plants: Callable[[Given], Given], **more: Any) -> Callable[[], Given]:
    """Take a set-up, and change in it what does no harm."""
    return lambda: {**both(*plants)(base(name)), **more}


def _declared() -> Given:
    convention = HVConvention(order="vh", sign="inward")
    given = base("targets:purple")
    stored = [np.rint(127 * hv_targets(a, convention)).astype(np.int8) for a in given["labels"]]
    setup = Setup(target_order="vh", target_sign="inward", target_divisor=127.0)
    return {**given, "hv": stored, "setup": setup}


def _good_maps() -> Given:
    maps = [planted_maps(t.labels, seed=i) for i, t in enumerate(generated())]
    return {"np": [m.np for m in maps], "hv": [m.hv for m in maps], "separation": "local"}


def _whole_validation_image() -> Given:
    """CoNSeP 24: hundreds of places have the colour of its nuclei, and are none."""
    folder = SHARED / "data" / "consep" / "val"
    image, labels = (np.asarray(Image.open(folder / f"consep_24{end}.png")) for end in ("", "_lab"))
    return {**base("lite:val"), "images": [image[..., :3]], "labels": [labels.astype("i4")]}


def _sparse(labels: Any) -> Any:
    """Ids that are huge and have gaps."""
    return labels.astype(np.int64) * 977 + (labels > 0) * 1_000_000


def _all_sizes(given: Given) -> Given:
    edges = [40, 97, 256, 131, 200, 64]
    return {**given, **{n: [a[:e, :e] for a, e in zip(given[n], edges, strict=False)]
                        for n in ("images", "labels")}}  # fmt: skip


def _one_without_nuclei(given: Given) -> Given:
    white = np.full((256, 256, 3), 240, np.uint8)
    empty = np.zeros((256, 256), np.int32)
    return {**given, "images": [*given["images"], white], "labels": [*given["labels"], empty]}


def _turned(rng: Any, a: Any, b: Any, hv: Any) -> Any:
    """Turn image and labels by an angle, and compute HV anew."""
    image, labels, _ = angle_without_vectors(rng, a, b, hv)
    return image, labels, hv_targets(labels)


def _stretched(image: Any) -> Any:
    low, high = np.percentile(image, (1, 99))
    return ((image - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def _all_kinds() -> Given:
    sources = [base(f"data:{name}") for name in ("white", "purple", "consep")]
    return {n: [a for g in sources for a in g[n]] for n in ("images", "labels")}


def _squared_error(p: Any, t: Any, m: Any) -> Any:
    return mean((p - t).square(), m)


HEALTHY: dict[str, Callable[[], Given]] = {
    "network, DSB white": _with("model:white"),
    "network, DSB purple": _with("model:purple"),
    "network, DSB validation": _with("model:val"),
    "network, MoNuSeg": _with("model:monuseg"),
    "network, CoNSeP": _with("model:consep"),
    "network, generated": _with("model:gen"),
    "network, one image": _with("model:one"),
    "network, published cut": _with("model:val", separation="hover_net"),
    "network, no labels, MoNuSeg": _with("bare:monuseg"),
    "network, no labels, CoNSeP": _with("bare:consep"),
    "network, no labels, immunohistochemistry": _with("model:ihc"),
    "network, no labels, pink slide": _with("model:slide"),
    "network, no labels, our loss": _with("bare:white", loss=HoverLoss()),
    "network, our loss and augmentation":
        _with("model:purple", loss=HoverLoss(), augmentation="ours"),
    "network, a little blurred":
        _with("model:white", every("images", lambda a: cv2.GaussianBlur(a, (0, 0), 0.8))),
    "network, JPEG of quality 75": _with("model:purple", every("images", jpeg(75))),
    "network, contrast stretched": _with("model:val", every("images", _stretched)),
    "network, grey images":
        _with("model:purple", every("images", lambda a: a.mean(2, keepdims=True).repeat(3, 2)
                                    .astype(np.uint8))),
    "network, a little dark":
        _with("model:monuseg", every("images", lambda a: (a * 0.85).astype(np.uint8))),
    "network, 16 bit":
        _with("model:purple", every("images", lambda a: a.astype(np.uint16) * 257)),
    "network, floats of 0 to 1":
        _with("model:white", every("images", lambda a: (a / 255).astype("f4"))),
    "network, huge ids with gaps": _with("model:consep", every("labels", _sparse)),
    "network, images of all sizes": _with("model:val", _all_sizes),
    "network, one image without nuclei": _with("model:monuseg", _one_without_nuclei),
    "network, everything turned":
        _with("model:purple", *(every(n, lambda a: np.rot90(a).copy())
                                for n in ("images", "labels"))),
    "network, other images held out":
        lambda: {**base("model:white"), "held_out": crops("purple")[0]},
    **{f"lite-typed, {source}": _with(f"lite:{source}")
       for source in ("white", "purple", "val", "monuseg", "consep", "gen", "ihc", "slide")},
    "lite-typed, one whole image": _whole_validation_image,
    "lite-typed, types": _with("typed:consep"),
    "lite-typed, no labels": _with("lite:monuseg", bare),
    "function, own cut": _with("function:monuseg", separation=cut),
    "token decoder": _with("tokens:gen"),
    "token decoder, no labels": _with("tokens:gen", bare),
    "targets": _with("targets:white"),
    "targets, np of 255": _with("targets:consep", every("np", lambda a: 255 * a)),
    "targets, [V, H] inward int8, declared": _declared,
    "targets of the published code":
        _with("targets:gen", stored_as(centre="hover_net", min_area=30, edge=2, split_parts=True)),
    "maps of another network": _with("maps:golden"),
    "maps, no labels": _with("maps:purple", bare),
    "maps, hv without np": _with("maps:monuseg", without("np"), hv_are="auto"),
    "good maps, nothing else": _good_maps,
    "data: all kinds": _all_kinds,
    "data: other slides held out":
        lambda: {**base("data:monuseg train"), "held_out": crops("monuseg")[0]},
    "labels alone": _with("data:consep", without("images")),
    "types, CoNSeP": _with("types:consep"),
    "types, our loss and augmentation":
        _with("types:gen", loss=HoverLoss(), augmentation="ours"),
    "published loss": _with("nothing:", loss=LOSS_PRESETS["published HoVer-Net"]),
    "own squared error": _with("data:purple", loss=_squared_error),
    "own flips": _with("targets:white", flips((-1, 1))),
    "own turns by an angle": _with("targets:gen", drawn(_turned)),
}  # fmt: skip

PAIRS = (
    ("relabel preset", "BGR images"),
    ("relabel preset", "hv swapped"),
    ("rim peaks preset", "np biased"),
    ("relabel preset", "labels moved"),
    ("absolute gradient", "given maps: inward"),
    ("labels are components", "maps 56 px to the right"),
    ("leak", "hv without direction"),
    ("targets [V, H]", "np inverted"),
    ("targets int8", "augmentation of the story"),
    ("np channel 0", "hv drowns np"),
    ("images of half the resolution", "relabel preset"),
    ("hv head untrained", "images twice"),
    ("half of the nuclei unlabelled", "hv negated"),
    ("own relabel", "given maps: [V, H]"),
    ("tiles of 32 px", "labels mirrored"),
    ("labels of the next image", "BGR in the network"),
    ("statistics lost", "labels moved"),
    ("tokens: prefix 1", "relabel preset"),
    ("tokens: grid upside down", "tokens: hv negated"),
    ("labels 1.15 x too large", "threshold 0.98"),
    ("leak by overlapping crops", "nuclei cut at label tiles of 128 px"),
    ("types off by one", "turns without vectors"),
    ("length only", "image zoomed under its labels"),
    ("nuclei cut at label tiles of 64 px", "depth too large"),
    ("own rim seeds", "given maps: background"),
)
"""Names of faults planted together, in the base of the first (of the other, if it has none)."""
