"""Score averaged weights on the validation images, source by source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import napari_hovernet as nh
from napari_hovernet.core.types import TypeInfo

from .augment import AugmentParams, restain, tone
from .data import HELD_OUT, Sample
from .recipe import architecture_of, network
from .stains import STANDARD, Stain, measure, unit

MPP = 0.25
TYPES = {
    0: TypeInfo("background", (0, 0, 0)),
    1: TypeInfo("miscellaneous", (255, 255, 0)),
    2: TypeInfo("inflammatory", (0, 255, 0)),
    3: TypeInfo("epithelial", (255, 165, 0)),
    4: TypeInfo("spindle", (0, 0, 255)),
}
FAR = 12.0
"""Pixels at 0.25 um within which centroids are of one nucleus (Graham et al. 2019)."""
GLANDS = (
    (338, 279), (345, 292), (342, 301), (339, 309), (339, 322), (346, 335), (352, 267), (354, 314),
    (359, 327), (361, 344), (354, 359), (367, 365), (368, 308), (375, 330), (376, 346), (385, 371),
    (392, 350), (360, 286), (371, 274), (384, 274), (392, 265), (408, 271), (428, 274), (410, 360),
    (426, 354), (436, 371), (448, 350), (458, 365), (451, 290), (442, 301), (455, 316), (84, 338),
    (78, 378), (73, 402), (82, 426), (112, 423), (101, 382), (129, 375), (114, 388), (145, 414),
    (126, 315), (146, 318), (176, 312), (68, 335), (176, 435),
)  # fmt: skip
"""Row and column of 45 nuclei inside brown glands of ``skimage.data.immunohistochemistry()``,
marked by hand in rows 330 to 460, columns 250 to 380, and rows 60 to 190, columns 310 to 440,
on the bare image."""
KEYS = ("aji", "pq", "dice", "inside", "inside_true", "outside")

State = Mapping[str, torch.Tensor]


def as_model(state: State, licence: str = "", half: bool = True) -> nh.Model:
    """Build the model of averaged weights, its kernels rounded to float16 as shipped."""
    architecture = architecture_of(state)
    net = network(architecture)
    kernels = {k for k, v in state.items() if half and v.ndim > 1}
    net.load_state_dict({k: v.half().float() if k in kernels else v for k, v in state.items()})
    info = nh.ModelInfo(
        architecture=architecture,
        types=TYPES,
        mpp=MPP,
        hv_convention="hover_net",
        parameters=sum(p.numel() for p in net.parameters()),
        licence=licence,
        source="tools/train_default_model.py",
        file_kind="napari-hovernet",
        config=net.config,
    )
    net = net.eval().to(memory_format=torch.channels_last)
    return nh.Model(network=net, info=info, device=torch.device("cpu"))


def average(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Mean of the weights of several snapshots; counters are those of the last."""
    states = [torch.load(file, weights_only=True, map_location="cpu") for file in files]
    return {
        key: torch.stack([s[key] for s in states]).mean(0) if last.is_floating_point() else last
        for key, last in states[-1].items()
    }


def quick(samples: list[Sample]) -> list[Sample]:
    """Take a part of the validation images that is scored in some seconds."""
    chosen = []
    for s in samples:
        if s.source != "consep" and s.name not in HELD_OUT:
            chosen.append(s)
        elif s.source == "consep" and len(np.unique(s.labels)) >= 300:
            cut = np.s_[250:750, 250:750]
            chosen.append(Sample(s.name, s.source, s.image[cut], s.labels[cut], s.types))
    return chosen


def shifted(sample: Sample, shift: str) -> Sample:
    """Return a sample under a named change, the same at every call."""
    image, labels = sample.image, sample.labels
    if shift == "restained":
        rng = np.random.default_rng(sum(sample.name.encode()))
        vectors = STANDARD.vectors + rng.normal(0, 0.08, (2, 3))
        other = Stain(np.stack([unit(v) for v in vectors.clip(0.02)]), STANDARD.strength)
        own = measure(image)
        rgb = restain(image.astype(np.float32), rng, AugmentParams(p_fade=0), own, other)
        image = np.clip(tone(rgb, rng), 0, 255).astype(np.uint8)
    elif shift.startswith("x"):
        factor = float(shift[1:])
        smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=smooth)
        size, flat = image.shape[1::-1], labels.astype(np.float32)
        labels = cv2.resize(flat, size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    return Sample(sample.name, sample.source, image, labels, sample.types)


def rows(model: nh.Model, samples: list[Sample]) -> Iterator[dict[str, object]]:
    """Yield one row of scores per image."""
    for sample in samples:
        maps = nh.predict(model, sample.image)
        found = nh.separate(maps).labels
        inside, truth = sample.labels > 0, nh.hv_targets(sample.labels)
        yield {
            "name": sample.name,
            "source": "dsb" if sample.source.startswith("dsb") else sample.source,
            **nh.evaluate(sample.labels, found).as_dict(),
            "inside": float(maps.magnitude[inside].mean()),
            "inside_true": float(np.hypot(*truth)[inside].mean()),
            "outside": float(maps.magnitude[~inside].mean()),
            "types": _type_counts(sample, found, maps) if sample.types is not None else None,
        }


def _centroids(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids and (n, 2) centroids."""
    y, x = np.nonzero(labels)
    ids, where, n = np.unique(labels[y, x], return_inverse=True, return_counts=True)
    sums = [np.bincount(where, v, minlength=len(ids)) for v in (y, x)]
    return ids, np.stack(sums, 1) / np.maximum(n, 1)[:, None]


def _votes(labels: np.ndarray, maps: nh.Maps) -> np.ndarray:
    """Most frequent type other than background, by id."""
    kind = maps.types.argmax(0)
    counts = np.zeros((labels.max() + 1, len(maps.types)))
    np.add.at(counts, (labels[labels > 0], kind[labels > 0]), 1)
    return counts[:, 1:].argmax(1) + 1


def _type_counts(sample: Sample, found: np.ndarray, maps: nh.Maps) -> dict[str, object]:
    """Confusion of matched nuclei by type (5, 5), and the types of those without a match."""
    true_ids, true_at = _centroids(sample.labels)
    ids, at = _centroids(found)
    kinds, guesses = sample.types[true_ids], _votes(found, maps)[ids]
    far = cdist(true_at, at) if len(ids) and len(true_ids) else np.zeros((len(true_ids), len(ids)))
    i, j = linear_sum_assignment(np.where(far > FAR, 1e6, far))
    near = far[i, j] <= FAR if len(i) else np.zeros(0, bool)
    i, j = i[near], j[near]
    confusion = np.zeros((len(TYPES), len(TYPES)), int)
    np.add.at(confusion, (kinds[i], guesses[j]), 1)
    missed, extra = np.delete(kinds, i), np.delete(guesses, j)
    count = lambda v: np.bincount(v, minlength=len(TYPES)).tolist()  # noqa: E731
    return {"confusion": confusion.tolist(), "missed": count(missed), "extra": count(extra)}


def type_scores(scored: list[dict[str, object]]) -> dict[str, float]:
    """Pool detection F1, and F1 per type as HoVer-Net's authors define it, over all images."""
    told = [row["types"] for row in scored if row["types"]]
    if not told:
        return {}
    confusion = sum(np.array(t["confusion"]) for t in told)
    missed, extra = (sum(np.array(t[k]) for t in told) for k in ("missed", "extra"))
    matched = confusion.sum()
    result = {"detection": 2 * matched / (2 * matched + missed.sum() + extra.sum())}
    for kind, info in list(TYPES.items())[1:]:
        right = confusion[kind, kind]
        false = confusion[:, kind].sum() - confusion[kind, kind]
        lost = confusion[kind].sum() - confusion[kind, kind]
        total = 2 * right + 2 * false + 2 * lost + extra[kind] + missed[kind]
        result[info.name] = 2 * right / max(total, 1)
    return {k: round(float(v), 4) for k, v in result.items()}


def judge(
    model: nh.Model, samples: list[Sample], among: Sequence[str] | None = None
) -> dict[str, object]:
    """Means per source, their mean ``among`` some, types; "score" is that mean of AJI and PQ."""
    scored = list(rows(model, samples))
    sources = sorted({str(row["source"]) for row in scored})
    means = {
        s: {k: float(np.mean([r[k] for r in scored if r["source"] == s])) for k in KEYS}
        for s in sources
    }
    balanced = {k: float(np.mean([means[s][k] for s in among or sources])) for k in KEYS}
    return {
        "score": (balanced["aji"] + balanced["pq"]) / 2,
        "balanced": balanced,
        "sources": means,
        "types": type_scores(scored),
        "rows": scored,
    }


def told(result: dict[str, object]) -> str:
    """One line: the score, AJI/PQ per source, HV lengths, types."""
    cells = [f"{s} {m['aji']:.3f}/{m['pq']:.3f}" for s, m in result["sources"].items()]
    b = result["balanced"]
    cells.append(f"hv inside x{b['inside'] / b['inside_true']:.3f} outside {b['outside']:.3f}")
    cells += [f"{k[:5]} {v:.3f}" for k, v in result["types"].items()]
    return f"{result['score']:.4f}  " + "  ".join(cells)


def in_glands(model: nh.Model) -> tuple[int, int]:
    """Count the nuclei of ``GLANDS`` that an instance of their own covers, and all of them."""
    from skimage.data import immunohistochemistry  # noqa: PLC0415 - for this alone

    labels = nh.separate(nh.predict(model, immunohistochemistry())).labels
    found = {int(np.bincount(labels[r - 1 : r + 2, c - 1 : c + 2].ravel()).argmax())
             for r, c in GLANDS}  # fmt: skip
    return len(found - {0}), len(GLANDS)
