"""What each what-if of the input brings where nothing is wrong, and where the input is.

    python benchmarks/input_gains.py            # healthy set-ups of the tune half: WAYS' needs
    python benchmarks/input_gains.py --planted  # and images made linear, brighter, flat ...

``need`` of a what-if (core/diagnosis/inputs.py) stands above the largest healthy gain.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from faults import tasks
from faults_common import base

from napari_hovernet.core.data.items import dataset_of_arrays
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import Case, Predictor
from napari_hovernet.core.diagnosis.inputs import LOOK_PX, _gain, _Parts, _what_ifs

LINEAR = np.where(np.arange(256) <= 10, np.arange(256) / 12.92 / 255,
                  ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4)  # fmt: skip
PLANTED: dict[str, Callable[[Any], Any]] = {
    "linear (sRGB)": lambda a: 255 * LINEAR[a],
    "gamma 1.5": lambda a: 255 * (a / 255) ** 1.5,
    "gamma 3": lambda a: 255 * (a / 255) ** 3,
    "gamma 1 / 2.2": lambda a: 255 * (a / 255) ** (1 / 2.2),
    "contrast 0.3": lambda a: 128 + 0.3 * (a - 128.0),
    "contrast 0.5": lambda a: 128 + 0.5 * (a - 128.0),
    "offset 50": lambda a: a + 50.0,
    "times 0.5": lambda a: 0.5 * a,
    "blue times 0.5": lambda a: a * np.array([1, 1, 0.5]),
    "BGR": lambda a: a[..., ::-1],
    "standardised": lambda a: (a - a.mean((0, 1))) / a.std((0, 1)),
    "0..1": lambda a: a / 255,
}


def gains(given: dict[str, Any]) -> tuple[float, dict[str, tuple[float, float, float]]]:
    """Agreement as it is, and of each what-if the mean, least and closest mended gain."""
    stacks = {"image": given["images"], "labels": given.get("labels")}
    items = dataset_of_arrays(**{k: v for k, v in stacks.items() if v is not None})
    bench = Bench(Case(items, predictor=Predictor.of(given["model"])))
    parts, found = _Parts(bench), {}
    plain = {i: q for i in bench.variant_indices if (q := parts.quality(i, None, LOOK_PX))}
    for what in _what_ifs():
        if what.kind == "input":
            for gain in _gain(parts, what, plain, list(plain), LOOK_PX):
                after = float(np.mean([q.both for q in gain.after]))
                found[what.name] = (gain.mean, min(gain.gains), after)
    return float(np.mean([q.both for q in plain.values()])), found


def healthy() -> Iterator[tuple[str, dict[str, Any]]]:
    """Set-ups of the tune half in which a model sees images."""
    for task in tasks():
        given = task.given() if task.part == "healthy" and task.half == "tune" else {}
        if "images" in given and hasattr(given.get("model"), "network"):
            yield task.name, given


def main() -> int:
    """Print the gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planted", action="store_true")
    largest: dict[str, list[float]] = defaultdict(list)
    if not parser.parse_args().planted:
        for name, given in healthy():
            own, found = gains(given)
            for what, (mean, _, _) in found.items():
                largest[what].append(mean)
            best = max(found, key=lambda w: found[w][0])
            print(f"{name}: {own:.2f}; most by {best} {found[best][0]:+.3f}", flush=True)
        for what, each in largest.items():
            print(f"{what:46s} {np.mean(each):+.3f} +- {np.std(each):.3f}, "
                  f"at most {', '.join(f'{g:+.3f}' for g in sorted(each)[-3:])}")  # fmt: skip
        return 0
    for source in ("model:monuseg", "lite:monuseg", "lite:purple", "model:consep"):
        given = base(source)
        for name, change in PLANTED.items():
            made = [np.clip(np.rint(change(a)), 0, 255).astype(np.uint8) if name != "standardised"
                    else change(a).astype("f4") for a in given["images"]]  # fmt: skip
            own, found = gains({**given, "images": made})
            ranked = sorted(found, key=lambda w: -found[w][0])[:4]
            said = ", ".join(f"{w} {found[w][0]:+.3f} (least {found[w][1]:+.3f})" for w in ranked)
            print(f"{source} {name}: {own:.2f}; {said}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
