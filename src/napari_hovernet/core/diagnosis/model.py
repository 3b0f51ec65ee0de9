"""Checks of a network from outside: file, weights, chance and tiles, types, tokens, score.

Bounds were set on ``compact`` with images of DSB, MoNuSeg, CoNSeP and generated tissue, on networks
never trained, and on token decoders of generated tissue.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from ..data.items import listed
from ..masks import label_parts
from ..measure.metrics import aji, contingency, dice
from ..networks.optimus import GRID
from ..tokens.decode import PATCH_PX
from ..types import Progress
from .bench import Bench
from .engine import ALONE, Steps, check, fault, in_vain, judge, ok, skip, warn
from .maps import BAD_DICE
from .maps_hv import NO_WAY, WEAK, hv_steps
from .reading import HALF, Quality, correlation, quality, view_steps
from .report import OK, Finding, Plot, Remedy

BROKEN = ("model.checkpoint", "model.weights", "model.failures", "model.tiles")
"""Beside a decisive fault of these, no what-if is tried."""
SYMPTOMS = ("model.np", "model.place", "model.hv_*", "model.score")
SLOW = 2.0
"""CPU seconds of one part (a hover_net takes 8, ``compact`` 0.2) from which on little is tried."""


def network_of(bench: Bench) -> Any:
    """Return the network; None if it is a function, or there is none."""
    predictor = bench.case.predictor
    return None if predictor is None or predictor.model is None else predictor.model.network


# --- file and weights ------------------------------------------------------------------


@check("model.checkpoint", "Model file", needs=("model",), explains=("model.*",), first=True)
def model_file(bench: Bench) -> Steps:
    """Say why a file could not be loaded."""
    predictor, error = bench.case.predictor, bench.case.model_error
    if not error:
        info = None if predictor is None or predictor.model is None else predictor.model.info
        source = f"{info.source} is loaded whole" if info is not None and info.source else (
            "The network came as it is")  # fmt: skip
        return ok(f"{source}; there is nothing to find fault with.")
    relative = "recognised but not supported" in error
    yield fault(
        error.rstrip(".") + ".",
        title="The model file cannot be used", certainty=0.98, decisive=True,
        remedy=Remedy(
            "Run it with the code that trained it, or take another model of a kind that is known."
            if relative else
            "Take another file: the whole checkpoint as the training saved it (a download may be "
            "cut off or a pointer alone). Never load it with strict=False: what is missing would "
            "stay untrained.",
            plain="Ask who gave you the model for a file of a kind that this program knows."),
    )  # fmt: skip


NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
ENOUGH, MANY = 500, 2000
"""Weights below which nothing is told of how they were drawn: uniformly, normally."""
ZEROS = 0.5
"""Share of weights that are exactly 0 (a training leaves none)."""
DRAWN = 0.8
"""Share of the large layers with the spread of a known normal initialisation, from which on a
network was never trained: one alone may have it by chance."""


@check("model.weights", "Weights", needs=("model",), explains=("model.*",),
       after=("model.checkpoint",), first=True)  # fmt: skip
def weights_were_trained(bench: Bench) -> Steps:
    """NaN, never trained, constant, zero."""
    network = network_of(bench)
    if network is None:
        return skip("the network is a function, its layers cannot be seen")
    entries = (*network.named_parameters(), *network.named_buffers())
    bad = [name for name, value in entries
           if value.is_floating_point() and not bool(torch.isfinite(value).all())]  # fmt: skip
    if bad:
        return fault(
            f"{len(bad)} weights hold NaN or infinite values: {listed(bad)}.",
            title="The network holds NaN", value=len(bad), threshold=1, unit="weights",
            certainty=0.98, decisive=True,
            remedy=Remedy("Take an earlier checkpoint: the training diverged, or the file is "
                          "damaged.", plain="The model is damaged; get another file of it."),
        )  # fmt: skip
    layers = [(name, m) for name, m in network.named_modules() if isinstance(m, WEIGHTED)]
    norms = [name for name, m in network.named_modules() if _fresh_norm(m)]
    uniform = [name for name, m in layers if _uniform(m.weight)]
    large = [m.weight for _, m in layers if m.weight.numel() >= MANY]
    normal = sum(map(_normal, large))
    never = len(large) > 2 and normal >= DRAWN * len(large)
    zeros = [name for name, m in layers if m.weight.numel() > 8 and _lost(m.weight)]
    fresh = [*norms, *uniform, *([f"{normal} of {len(large)} large layers"] if never else [])]
    if not fresh and not zeros:
        return ok(f"All weights are finite, and those of {len(layers)} layers have left the "
             "distribution they were drawn from.", value=0, threshold=1, unit="layers")  # fmt: skip
    said = []
    if fresh:
        said.append(f"weights or batch norms are as they are drawn at the start in {listed(fresh)}")
    if zeros:
        said.append(f"weights are 0 (or all the same) in {listed(zeros)}")
    whole = never or len(fresh) >= 0.9 * len(layers)
    parts = dict.fromkeys(".".join(name.split(".")[:2]) for name in (*fresh, *zeros))
    yield fault(
        f"{'; '.join(said).capitalize()}. In a trained network there are none.",
        title="The network was never trained" if whole else
        f"Layers were never trained, or lost their weights: {listed(list(parts))}",
        value=len(fresh) + len(zeros), threshold=1, unit="layers", decisive=True,
        certainty=0.97 if fresh else 0.9,
        remedy=Remedy(
            "Load the checkpoint strictly (load_state_dict(..., strict=True)) and mend what it "
            "names: these layers got no weights from the file. Or train them.",
            plain="The model was loaded in part only; ask who made it for the whole file."),
    )  # fmt: skip


def _fresh_norm(module: nn.Module) -> bool:
    """Whether a batch norm is exactly as it starts, weights and all."""
    return (isinstance(module, NORMS) and fresh_statistics(module) and (not module.affine
        or bool((module.weight == 1).all() and (module.bias == 0).all())))  # fmt: skip


def fresh_statistics(module: Any) -> bool:
    """Whether the running statistics of a batch norm are as at the start."""
    return module.running_var is not None and bool((module.running_mean == 0).all()
                                                   and (module.running_var == 1).all())  # fmt: skip


def _uniform(weight: torch.Tensor) -> bool:
    """Whether weights fill torch's default (uniform) initialisation evenly and no further."""
    if weight.numel() < ENOUGH:
        return False
    bound = 1 / math.sqrt(max(weight[0].numel(), 1))
    weight = weight.detach()
    largest, std = float(weight.abs().max()) / bound, float(weight.std()) / bound * math.sqrt(3)
    return 0.98 <= largest <= 1 + 1e-6 and abs(std - 1) <= 0.05


def _normal(weight: torch.Tensor) -> bool:
    """Whether weights are normal with the spread of a usual initialisation."""
    values = weight.detach().double().flatten()
    n, std = len(values), float(values.std())
    if std == 0:
        return False
    peaked = float(((values - values.mean()) / std).pow(4).mean()) - 3
    fan_in, fan_out = weight[0].numel(), weight.shape[0] * weight[0, 0].numel()
    usual = (1 / fan_in, 2 / fan_in, 2 / fan_out, 2 / (fan_in + fan_out), 0.02**2, 0.01**2)
    near = any(abs(std / math.sqrt(v) - 1) <= 3 / math.sqrt(2 * n) + 0.005 for v in usual)
    return near and abs(peaked) <= 4 * math.sqrt(24 / n) + 0.02


def _lost(weight: torch.Tensor) -> bool:
    same = bool((weight == weight.flatten()[0]).all())
    return same or float((weight == 0).float().mean()) >= ZEROS


# --- chance and tiles ------------------------------------------------------------------

SAME_NP, STEADY_NP, STEADY_HV = 0.05, 0.93, 0.96
"""Difference of NP between two predictions; correlation, cosine in another tile (1 in health; two
networks on five sources: 0.995 and more)."""
OFFSET, MARGIN = (16, 48), 32
"""Rows and columns by which the other tile begins later; rim that is left out; pixels."""


@check("model.tiles", "The same place again, and in another tile", needs=("model", "image"),
       after=BROKEN, explains=(*SYMPTOMS, "model.mpp", "model.input"))  # fmt: skip
def the_same_place_again(bench: Bench) -> Steps:
    """Tell whether the answer depends on chance, or on where the tile begins."""
    predictor = bench.case.predictor
    if predictor is None or predictor.reads != "image":
        return skip("the network reads tokens, not images")
    rows: list[tuple[float, float, float]] = []
    shown = yield from hv_steps(bench)
    nowhere = shown.by_labels and shown.score < NO_WAY  # in any tile: see its direction, or length
    for index in bench.variant_indices[:2]:
        began = time.process_time()
        yield Progress(len(rows), 2, "the same place in another tile")
        made = _again(bench, index, not nowhere)
        if made is not None:
            rows.append(made)
        if time.process_time() - began > SLOW:
            break
    if not rows:
        return skip("no image could be predicted twice")
    difference = max(r[0] for r in rows)
    prob, hv = (float(np.nanmedian([r[k] for r in rows])) if not all(
        math.isnan(r[k]) for r in rows) else 1.0 for k in (1, 2))  # fmt: skip
    hv = 1.0 if nowhere else hv
    words = (f"Two predictions of the same pixels differ by at most {difference:.3f}; in a tile "
             f"that begins elsewhere NP agrees by {prob:.2f} and HV by {hv:.2f} (1 in "
             "health).")  # fmt: skip
    common: dict[str, Any] = {"layers": ("image", "np", "hv_x"),
        "numbers": {"difference": difference, "NP": prob, "HV": hv}}  # fmt: skip
    if difference > SAME_NP:
        yield fault(words, title="The network answers at random", value=difference,
                    threshold=SAME_NP, unit="NP or HV", certainty=0.95, decisive=True,
                    remedy=Remedy("Call network.eval(): dropout or batch statistics are in use, or "
                                  "something random is left in its code."),
                    plain="Run it twice and you get two results.", **common)  # fmt: skip
    elif prob < STEADY_NP or hv < STEADY_HV:
        yield judge(
            "labels" in bench.case.has, words, 0.9, title="Maps depend on where the tile begins",
            value=min(prob, hv), threshold=STEADY_NP, unit="correlation",
            remedy=Remedy("Predict in larger tiles with a halo (overlap, margin) that is thrown "
                          "away, and never resize tiles to a fixed size; batch norm must use its "
                          "running statistics."),
            plain="Nuclei look different along the seams of tiles.", **common)  # fmt: skip
    else:
        yield ok(words, value=prob, threshold=STEADY_NP, **common)


def _again(bench: Bench, index: int, with_hv: bool) -> tuple[float, float, float] | None:
    """Largest difference of NP, and agreement of NP and HV in a tile that begins elsewhere."""
    rows, cols = OFFSET
    first = bench.variant(index)
    second = bench.part_changed(index, lambda part: part)
    if first is None or second is None:
        return None
    pairs = ((first.np, second.np), (first.hv, second.hv))[: 1 + with_hv]
    difference = max(float(np.abs(x - y).max(initial=0)) for x, y in pairs)
    if min(first.shape[0] - rows, first.shape[1] - cols) < 4 * MARGIN:
        return difference, math.nan, math.nan
    other = bench.part_changed(index, lambda part: part[rows:, cols:])
    if other is None:
        return difference, math.nan, math.nan
    inner = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    a, b = first.np[rows:, cols:][inner], other.np[inner]
    x, y = first.hv[:, rows:, cols:][(slice(None), *inner)], other.hv[(slice(None), *inner)]
    inside = (a >= 0.5) & (b >= 0.5)
    x, y = x[:, inside], y[:, inside]
    size = float(((x * x).sum() * (y * y).sum()) ** 0.5)  # long HV counts, where it is 0 nothing
    cosine = float((x * y).sum()) / size if inside.sum() >= 50 and size > 1e-6 else math.nan
    flat = min(a.std(), b.std()) < 0.02
    return difference, math.nan if flat else correlation(a, b), cosine


# --- types and tokens ------------------------------------------------------------------

TYPES_GAIN = 0.2
"""Share of pixels whose type becomes right with another numbering."""


@check("model.types", "Predicted types", needs=("maps", "types"), after=BROKEN)
def predicted_types(bench: Bench) -> Steps:
    """Are types numbered alike."""
    pairs: dict[str, Any] = {}
    for index in bench.map_indices:
        yield Progress(0, 1, "types")
        item, maps = bench.item(index), bench.maps(index)
        if item is None or maps is None or maps.types is None or item.types is None:
            continue
        if item.types.shape != maps.shape or not (item.types > 0).any():
            continue
        inside, without = item.types > 0, 0 if not bench.setup.types_background else 1
        guess = maps.types[without:].argmax(axis=0) + 1
        pairs[item.name] = np.stack([item.types[inside], guess[inside]])
    size = max((int(p.max()) + 2 for p in pairs.values()), default=0)
    tables = {name: _counted(p, size) for name, p in pairs.items()}
    table = sum(tables.values(), np.zeros((size, size)))
    total = table.sum()
    if not total:
        return skip("no image has both true and predicted types")
    right = float(np.trace(table) / total)
    shifts = {k: float(np.trace(table, k) / total) for k in (-2, -1, 1, 2)}
    best = max(shifts, key=lambda k: shifts[k])
    constant = float(table.sum(axis=1).max() / total)
    words = (f"{right:.0%} of the pixels with a true type are predicted right; always the most "
             f"frequent type would be {constant:.0%}.")  # fmt: skip
    common: dict[str, Any] = {"value": right, "threshold": constant, "unit": "share",
                              "layers": ("types",)}  # fmt: skip
    if shifts[best] - right >= TYPES_GAIN and shifts[best] > constant:
        yield fault(
            f"{words} With {best:+d} to each true type it is {shifts[best]:.0%}.",
            title=f"Types are numbered {abs(best)} {'higher' if best > 0 else 'lower'}",
            certainty=0.9, remedy=Remedy(
                f"Number types alike (0 = background): add {best:+d} to the true ones. A model "
                "without a background class has types_background=False.", "type_offset",
                bench.setup.type_offset + best), **common)  # fmt: skip
    elif odd := {name: order for name, one in tables.items() if (order := _other_order(one))}:
        share, (name, order) = len(odd) / len(tables), next(iter(odd.items()))
        yield judge(
            len(odd) > 1 or share == 1, f"{words} In {len(odd)} of {len(tables)} images far more "
            f"are right if types are numbered in another order: in {name} {order}.", 0.85,
            title="Types are numbered in another order" + (" in some images" if share < 1 else ""),
            remedy=Remedy("Bring the numbers of types to one list of names (true type -> the "
                          f"model's: {order}), laboratory by laboratory."), **common)  # fmt: skip
    elif right < constant - TYPES_GAIN:
        yield warn(words, title="Types are hardly ever right", certainty=0.4,
            remedy=Remedy("Check the list of types, and what the type branch was trained on."),
            **common)  # fmt: skip
    else:
        yield ok(words, **common)


def _counted(pairs: Any, size: int) -> npt.NDArray[np.float64]:
    """Count the pixels of each true and predicted type."""
    table = np.zeros((size, size))
    np.add.at(table, tuple(pairs), 1)
    return table


def _other_order(table: npt.NDArray[np.float64]) -> str:
    """Say in which order of types far more are right, "" if in none."""
    true, guess = linear_sum_assignment(-table)
    right = float(table[true, guess].sum())
    moved = [f"{t} -> {g}" for t, g in zip(true, guess, strict=True) if t != g and table[t, g]]
    better = right - np.trace(table) >= TYPES_GAIN * table.sum() and right > table.sum(1).max()
    return ", ".join(moved) if better else ""


PATCHES = GRID * GRID
KNOWN = (0, 1, 5)
"""Prefixes that are met: none, CLS, CLS and four registers."""
TOKEN_GAIN = 0.04


@check("model.token_prefix", "Tokens before the patches", needs=("model", "features"),
       after=("model.checkpoint", "model.weights"),
       explains=(*SYMPTOMS, "model.activations", "data.complete"))  # fmt: skip
def tokens_before_the_patches(bench: Bench) -> Steps:
    """Which tokens are taken for patches."""
    network = network_of(bench)
    indices = [i for i in bench.variant_indices
               if (r := bench.raw(i)) is not None and np.ndim(r.features) == 2]  # fmt: skip
    if network is None or network.accepts != "tokens" or not indices:
        return skip("the network reads images, not tokens")
    n = int(np.median([len(bench.raw(i).features) for i in indices]))  # type: ignore[union-attr]
    own = int(getattr(network, "token_prefix", 0))
    now = own if bench.setup.token_prefix is None else bench.setup.token_prefix
    usual = n - PATCHES
    found: dict[int, float] = {}
    labelled = False
    for prefix in sorted({*KNOWN, now, usual}):
        if 0 <= prefix <= usual:
            yield Progress(0, 1, f"token prefix {prefix}")
            made = [q for i in indices if (q := _of_tokens(bench, i, prefix)) is not None]
            labelled = any(q.by_labels for q in made)
            found[prefix] = float(np.mean([q.both for q in made])) if made else 0.0
    words = f"Each image has {n} tokens, {usual} more than the {GRID} x {GRID} patches"
    if now not in found:
        return fault(f"{words}; the prefix is {now}.", title="Too few tokens", certainty=0.95,
                     remedy=Remedy(f"Set the token prefix to {usual}." if usual >= 0 else
                                   f"Make features of a ViT with {GRID} x {GRID} patches.",
                                   "token_prefix" if usual >= 0 else "",
                                   usual if usual >= 0 else None))  # fmt: skip
    best = max(found, key=lambda p: found[p])
    gain = found[best] - found[now]
    words += ("; agreement with " + ("the labels" if labelled else "the image") + " is "
        + ", ".join(f"{v:.2f} for a prefix of {p}" for p, v in found.items()) + ".")  # fmt: skip
    if gain < TOKEN_GAIN:
        return ok(words, value=float(now), threshold=float(usual), unit="tokens")
    off = abs(best - now)
    yield judge(
        labelled, words, 0.97, title="Wrong tokens are taken for patches", value=float(now),
        threshold=float(best), unit="tokens",
        remedy=Remedy(f"Set the token prefix to {best}: with {now} maps lie {off} columns "
                      f"({off * PATCH_PX} px) off, wrapped.", "token_prefix", best),
        layers=("image", "np"), plot=Plot(
            "bars", "Agreement by token prefix", tuple(map(str, found)),
            (("agreement", tuple(found.values())),), "prefix"))  # fmt: skip


def _of_tokens(bench: Bench, index: int, prefix: int) -> Quality | None:
    maps, item = bench.variant(index, prefix), bench.item(index)
    if maps is None or item is None:
        return None
    labels, size = item.labels, maps.shape[::-1]
    image: Any = item.image
    if labels is not None and labels.shape != maps.shape:
        labels = cv2.resize(labels.astype(np.float64), size, interpolation=0).astype(np.int32)
    if image is not None and image.shape[:2] != maps.shape:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return quality(maps, labels, image, fixed=True)


# --- the score, said last ---------------------------------------------------------------

POOR = 0.4
"""AJI below which nuclei are hardly found one by one, whatever else is said (networks that work, on
images of other laboratories: 0.45 and more)."""
RULED_OUT = 6
"""Checks that are named as ruled out."""


@check("model.score", "Scores beside base rates", needs=("maps", "labels"), last=True)
def scores_beside_base_rates(bench: Bench) -> Steps:
    """Never "nothing wrong" over a bad score: said last, with what was ruled out."""
    views = yield from view_steps(bench)
    rows = []
    for done, view in enumerate(views):
        yield Progress(done, len(views), "scores")
        cut, maps = bench.instances(view.index), bench.maps(view.index)
        if view.labels is None or cut is None or maps is None or cut.shape != maps.shape:
            continue
        table = contingency(view.labels, cut)
        parts = contingency(view.labels, label_parts(view.prob > HALF)[0])
        shares = (float((view.prob > HALF).mean()), float((view.labels > 0).mean()))
        scores = (aji(table), aji(parts), dice(table), table.n_true, table.n_pred)
        rows.append((view, *scores, *shares))
    if not rows:
        return skip("no image has both labels and instances")
    columns = list(zip(*rows, strict=True))[1:]
    mine, base, area, true, found, share, truly = (float(np.mean(c)) for c in columns)
    worst = sorted(rows, key=lambda row: row[1])[: bench.params.n_places]
    common: dict[str, Any] = {
        "value": mine, "threshold": base, "unit": "AJI", "layers": ("image", "truth", "instances"),
        "numbers": {"AJI": mine, "AJI of connected components": base, "Dice": area,
                    "Dice of all-foreground": 2 * truly / (1 + truly)},
        "places": tuple(row[0].place(f"AJI {row[1]:.2f}") for row in worst),
        "plot": Plot("bars", "Scores", ("AJI", "AJI of components", "Dice"),
                     (("mean", (mine, base, area)),))}  # fmt: skip
    words = (f"AJI {mine:.2f}, connected components {base:.2f}; Dice {area:.2f}, everything "
             f"nucleus {2 * truly / (1 + truly):.2f}; {found:.0f} instances for {true:.0f} nuclei "
             "an image.")  # fmt: skip
    if mine >= max(base, POOR) and area >= BAD_DICE:
        return ok(words, **common)
    known = [f for f in bench.found if f.wrong and f.certainty >= ALONE and not in_vain(f)]
    answer = _answer(share, truly, area)
    bad = area < BAD_DICE and not known
    yield (fault if bad and area < WEAK else warn)(
        f"{words} The network answers {answer} ({share:.0%} of the pixels, {truly:.0%} in truth); "
        f"{_ruled_out(bench.found, known)}",
        title="The result is bad, and no known cause explains it" if not known
        else "The result is bad",
        certainty=0.7 if bad else ALONE if area < BAD_DICE or mine < POOR else 0.3,
        remedy=Remedy(
            "Look at the worst image beside its labels. If the network was trained on other images "
            "(encoder, stain, organ), fine-tune it on these; check that input, tokens and weights "
            "are those of its training, and load its checkpoint anew."
        ), plain="The outlines do not fit the labels, for a reason this program does not know.",
        **common)  # fmt: skip


def _answer(share: float, truly: float, area: float) -> str:
    """Say what comes out, by the share of nucleus here and in truth, and by Dice."""
    if share < 0.1 * truly:
        return "no nuclei"
    if share > min(3 * truly, 0.9):
        return "nuclei nearly everywhere"
    if area < 0.3:
        return "nuclei in other places"
    return "nuclei of other outlines" if area < BAD_DICE else "nuclei cut in another way"


def _ruled_out(found: Sequence[Finding], known: Sequence[Finding]) -> str:
    if known:
        return f"see {known[0].id}."
    names = [f.title for f in found if f.verdict == OK]
    more = f" and {len(names) - RULED_OUT} more" if len(names) > RULED_OUT else ""
    return f"none of the known causes explains it. Ruled out: {', '.join(names[:RULED_OUT])}{more}."
