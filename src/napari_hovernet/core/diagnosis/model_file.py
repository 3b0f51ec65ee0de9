"""The model file, and images on which the network fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from ...errors import InputError
from ..networks.registry import build
from ..types import ModelInfo, Progress
from .bench import Bench
from .model_limits import MODEL_LIMITS, ModelLimits
from .predicting import TOKENS
from .registry import Steps
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Place, Remedy

CHECKPOINT, NON_FINITE, FAILURES = "model.checkpoint", "model.non_finite", "model.failures"
REFUSED_CERTAINTY, BROKEN_CERTAINTY = 0.98, 0.98
ALL_FAIL, SOME_FAIL, FEW_FAIL = 0.93, 0.9, 0.45
"""Certainty that failures are the cause: on all images, on many, on hardly any."""
SHOWN = 6
"""Names that are listed before the rest is only counted."""
MISFITS = ("missing", "unexpected", "of another shape", "of a dtype")
"""What the refusal of a checkpoint counts."""
_KIND = re.compile(r"looks like (\w+) \((?:(fast|original), )?(?:(\d+)|no) types\)")
_RELATIVE = re.compile(r" is ((?:an? )?[\w+\- ]+?), which is recognised but not supported")
_FINITE = ("not finite", "nan or infinite", "notfinite")


def checkpoint(error: str, info: ModelInfo | None = None) -> Finding:
    """Judge whether the model file could be loaded, whole.

    Parameters
    ----------
    error : str
        Why it was refused, "" if it was not.
    info : ModelInfo, optional
        Of the model that was loaded.
    """
    if not error:
        words = "There is no file to check: the network came as it is."
        if info is not None and info.source:
            words = (
                f"{info.source} is a {info.architecture} and fits in every name, shape and value "
                f"({info.parameters:,} weights)."
            )
        return Finding(CHECKPOINT, OK, "Model file", words)
    title, remedy = _refusal(error)
    numbers = {what: float(n) for what, n in counted(error).items()}
    fits = key_coverage(error)
    more = ""
    if fits is not None:
        numbers["fitting"], numbers["entries"] = map(float, fits)
        more = f" {fits[0]} of the network's {fits[1]} entries fit."
    return Finding(
        CHECKPOINT,
        FAULT,
        title,
        f"{error}{more}",
        value=numbers.get("fitting", float("nan")),
        threshold=numbers.get("entries", float("nan")),
        unit="entries" if fits else "",
        certainty=REFUSED_CERTAINTY,
        remedy=Remedy(remedy),
        numbers=numbers,
    )


def _refusal(error: str) -> tuple[str, str]:
    """Return what a refusal means, as title and remedy."""
    relative = _RELATIVE.search(error)
    if relative:
        return (
            f"The model file is {relative[1]}, which cannot be run",
            "Run it with the code that trained it, or take a model of a kind that is known. Do "
            "not load it with strict=False: parts of it would stay untrained.",
        )
    if "does not fit" in error:
        return (
            "Weights in the file do not fit the network",
            "Take the code version that wrote it, or the right kind of model; never load it with "
            "strict=False: what does not fit would stay untrained.",
        )
    if "cannot work" in error:
        return (
            "The model file holds weights that cannot work",
            "Take an earlier checkpoint and look at the loss of that training.",
        )
    if "asks to call" in error:
        return (
            "The model file wants to run code",
            "Open it where it comes from and save the weights alone (state_dict).",
        )
    return "The model file cannot be loaded", "Give a model file of a kind that is known."


def counted(error: str) -> dict[str, int]:
    """Read how many entries do not fit out of a refusal.

    Examples
    --------
    >>> counted("does not fit it: 3 missing (a, b, c); 1 unexpected (d).")
    {'missing': 3, 'unexpected': 1}
    """
    found = ((what, re.search(rf"(\d+) {what}", error)) for what in MISFITS)
    return {what: int(match[1]) for what, match in found if match}


def key_coverage(error: str) -> tuple[int, int] | None:
    """Tell how many of a network's entries the refused file has; None if that cannot be told."""
    kind, counts = _KIND.search(error), counted(error)
    if not kind or not counts:
        return None
    config: dict[str, Any] = {"n_types": int(kind[3]) if kind[3] else None}
    if kind[2]:
        config["mode"] = kind[2]
    try:
        with torch.device("meta"):
            total = len(build(kind[1], config).state_dict())
    except (InputError, RuntimeError):
        return None
    misfit = sum(n for what, n in counts.items() if what != "unexpected")
    return max(total - misfit, 0), total


def run_checkpoint(bench: Bench) -> Steps:
    """Look at what loading said."""
    predictor = bench.case.predictor
    info = None if predictor is None or predictor.model is None else predictor.model.info
    yield checkpoint(bench.case.model_error, info)


def non_finite_entries(network: Any) -> list[str]:
    """Return names of parameters and buffers that hold NaN or infinite values."""
    entries = (*network.named_parameters(), *network.named_buffers())
    return [
        name
        for name, value in entries
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]


def non_finite(entries: Sequence[str], outputs: Sequence[str], total: int) -> Finding:
    """Judge whether NaN or infinite values are in the network or come out of it.

    Parameters
    ----------
    entries : sequence of str
        Weights that are not finite.
    outputs : sequence of str
        Names of images whose maps are not.
    total : int
        Images that were tried.
    """
    if not entries and not outputs:
        words = f"All weights are finite, and so are the maps of {total} images."
        return Finding(NON_FINITE, OK, "NaN and infinite values", words)
    parts = []
    if entries:
        parts.append(f"{len(entries)} weights hold NaN or infinite values ({listed(entries)})")
    if outputs:
        parts.append(f"the maps of {len(outputs)} of {total} images do ({listed(outputs)})")
    remedy = (
        "Take an earlier checkpoint: the training diverged, or the file is damaged."
        if entries
        else "Run in float32; if that does not help, look at which activations explode."
    )
    return Finding(
        NON_FINITE,
        FAULT,
        "The network holds NaN" if entries else "The network gives NaN",
        f"{'; '.join(parts)}. In health there are none."[0].upper()
        + f"{'; '.join(parts)}. In health there are none."[1:],
        value=float(len(entries) or len(outputs)),
        threshold=0.0,
        unit="weights" if entries else "images",
        certainty=BROKEN_CERTAINTY if entries else ALL_FAIL,
        remedy=Remedy(remedy),
        layers=("np", "hv_x"),
    )


def run_non_finite(bench: Bench) -> Steps:
    """Look for NaN in weights and in what came out."""
    predictor = bench.case.predictor
    if predictor is None:
        yield Finding(NON_FINITE, NOT_TESTED, "NaN and infinite values", "Not tested: no network.")
        return
    network = None if predictor.model is None else predictor.model.network
    entries = [] if network is None else non_finite_entries(network)
    failed = yield from failing(bench)
    named = [name for _, name, why in failed if any(word in why.lower() for word in _FINITE)]
    yield non_finite(entries, named, len(bench.map_indices))


def failures(
    failed: Sequence[tuple[int, str, str]],
    total: int,
    places: Sequence[Place] = (),
    limits: ModelLimits = MODEL_LIMITS,
) -> Finding:
    """Judge on how many images the network fails.

    Parameters
    ----------
    failed : sequence of (int, str, str)
        Item, its name, and why.
    total : int
        Images that were tried.
    places : sequence of Place
    limits : ModelLimits
    """
    share = len(failed) / total if total else 0.0
    if not failed:
        words = f"The network gives maps of all {total} images."
        return Finding(FAILURES, OK, "Failures of the network", words)
    reasons: dict[str, list[str]] = {}
    for _, name, why in failed:
        reasons.setdefault(why, []).append(name)
    words = "; ".join(f"{listed(names)}: {why}" for why, names in list(reasons.items())[:SHOWN])
    fault = share > limits.failing
    certainty = ALL_FAIL if share >= 1 else SOME_FAIL if fault else FEW_FAIL
    return Finding(
        FAILURES,
        FAULT if fault else WARN,
        "The network fails on every image" if share >= 1 else "The network fails on some images",
        f"It fails on {len(failed)} of {total} images. {words}",
        value=share,
        threshold=0.0,
        unit="share of images",
        certainty=certainty,
        remedy=Remedy(
            "Mend what the message says, or leave those images out; the rest was tested."
        ),
        layers=("image",),
        places=tuple(places),
    )


def run_failures(bench: Bench) -> Steps:
    """Predict every image, and tell on which that did not work."""
    if bench.case.predictor is None:
        yield Finding(FAILURES, NOT_TESTED, "Failures of the network", "Not tested: no network.")
        return
    failed = yield from failing(bench)
    places = []
    for index, name, _ in failed[: bench.params.n_places]:
        item = bench.item(index)
        shape = None if item is None else item.shape
        if shape is not None:
            places.append(Place(index, name, (0, shape[0], 0, shape[1])))
    tried = [i for i in bench.map_indices if readable(bench, i)]
    if not tried:
        words = "Not tested: there is nothing that the network could read."
        yield Finding(FAILURES, NOT_TESTED, "Failures of the network", words)
        return
    yield failures(failed, len(tried), places)


def failing(bench: Bench) -> Any:
    """Predict all; yields progress and returns (item, name, why) of what the network refused."""
    names = () if bench.case.items is None else bench.case.items.names
    failed = []
    for number, index in enumerate(bench.map_indices):
        yield Progress(number, len(bench.map_indices), "running the network")
        if readable(bench, index) and bench.maps(index) is None:
            failed.append((index, names[index], bench.failures.get(index, "no maps came back")))
    return failed


def readable(bench: Bench, index: int) -> bool:
    """Tell whether there is what the network reads of an item."""
    predictor, raw = bench.case.predictor, bench.raw(index)
    if predictor is None or raw is None:
        return False
    if predictor.reads == TOKENS:
        return raw.features is not None
    item = bench.item(index)
    return item is not None and item.image is not None


def listed(names: Sequence[str]) -> str:
    """List the first names and count the rest."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
