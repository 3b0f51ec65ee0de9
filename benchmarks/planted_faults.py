"""Does the diagnosis name the right cause? Faults planted one by one and in pairs, and none.

    python benchmarks/planted_faults.py                 # everything
    python benchmarks/planted_faults.py --only bgr      # those with "bgr" in their name

A single fault must be named first, each of a pair must be among the first two, and in healthy
set-ups there must be no fault and at most one warning in all. Needs the images of ``../shared``.
"""

from __future__ import annotations

import argparse
import time
import traceback
from typing import Any

import torch
from fault_library import (
    BASES,
    HEALTHY,
    Fault,
    Given,
    absolute_gradient,
    after_hv,
    background_too,
    changed,
    components,
    doubles,
    every,
    exploding,
    flips_image_only,
    flips_without_negating,
    hv_resized,
    in_convention,
    length_only,
    moved,
    nan_weight,
    next_of,
    no_direction,
    other_statistics,
    outside_root,
    over_all_pixels,
    plain_components,
    put,
    resized,
    rim_peaks,
    sigmoid_of_one,
    some_fail,
    tampered,
    untrained_encoder,
    untrained_head,
    weights,
)
from more_model_faults import MORE, MORE_HEALTHY, MORE_PAIRS
from other_faults import OTHERS

import napari_hovernet as nh
from napari_hovernet.core.hv import HVConvention
from napari_hovernet.core.losses import HoverLoss

FAULTS = (
    Fault("relabel preset", "model", put(separation="merging_relabel"), ("separation.relabel",)),
    Fault("own relabel", "model", put(separation=plain_components),
          ("separation.relabel", "separation.components")),
    Fault("magnitude peaks preset", "model", put(separation="magnitude_peaks"),
          ("separation.rim_seeds",)),
    Fault("own rim seeds", "model", put(separation=rim_peaks), ("separation.rim_seeds",)),
    Fault("absolute gradient", "model", put(separation=absolute_gradient), ("separation.scale",)),
    Fault("depth too large", "model", changed(depth=3.0), ("separation.under",)),
    Fault("depth zero, fine scale", "model", changed(depth=0.0, scales=(0.6,)),
          ("separation.over",)),
    Fault("np threshold", "model", changed(np_threshold=0.985), ("separation.threshold",)),
    Fault("min area", "model", changed(min_area=900),
          ("separation.under", "separation.oracle")),
    Fault("bgr images", "model", every("images", lambda a: a[..., ::-1].copy()),
          ("model.channel_order", "data.channel_order")),
    Fault("bgr in the network", "model", tampered(before=lambda x: x.flip(1)),
          ("model.channel_order",)),
    Fault("divided by 255 twice", "model", tampered(before=lambda x: x / 255),
          ("model.input_range",)),
    Fault("not divided", "model", tampered(before=lambda x: x * 255), ("model.input_range",)),
    Fault("images too small", "model", resized(0.35), ("model.mpp",)),
    Fault("images too large", "model", resized(3.0), ("model.mpp",)),
    Fault("np channel 0", "model", tampered(after=lambda o: {**o, "np": o["np"].flip(1)}),
          ("model.np_channel",)),
    Fault("np biased", "model", tampered(after=sigmoid_of_one),
          ("model.np_activation", "separation.threshold")),
    Fault("hv swapped", "model", after_hv(lambda hv: hv.flip(1)), ("model.hv_order",)),
    Fault("hv negated", "model", after_hv(lambda hv: -hv), ("model.hv_sign",)),
    Fault("hv vertical negated", "model",
          after_hv(lambda hv: hv * torch.tensor([1.0, -1.0])[:, None, None]),
          ("model.hv_sign",)),
    Fault("hv collapsed", "model", after_hv(lambda hv: 0.0 * hv + 0.01 * torch.randn(hv.shape)),
          ("model.hv_collapsed", "model.hv_direction", "model.hv_zero")),
    Fault("hv without direction", "model", after_hv(no_direction), ("model.hv_direction",)),
    Fault("hv saturated", "model", after_hv(lambda hv: torch.tanh(30 * hv)),
          ("model.hv_saturated",)),
    Fault("maps moved 56 px", "model",
          tampered(after=lambda o: {k: v.roll(56, -1) for k, v in o.items()}),
          ("model.shift",)),
    Fault("maps mirrored", "model",
          tampered(after=lambda o: {k: v.flip(-1) for k, v in o.items()}),
          ("model.orientation",)),
    Fault("untrained hv head", "model", weights(untrained_head), ("model.untrained",)),
    Fault("untrained encoder", "model", weights(untrained_encoder), ("model.untrained",)),
    Fault("batch norm of other data", "model", weights(other_statistics),
          ("model.batch_norm",)),
    Fault("nan weight", "model", weights(nan_weight), ("model.non_finite",)),
    Fault("exploding", "model", weights(exploding), ("model.activations", "model.batch_norm")),
    Fault("fails on some", "model", some_fail, ("model.failures",)),
    Fault("labels moved", "model", moved("labels", 9, 14), ("data.shift",)),
    Fault("labels mirrored", "model", every("labels", lambda a: a[:, ::-1].copy()),
          ("data.flip",)),
    Fault("labels of the next image", "model",
          lambda g: {**g, "images": g["images"][:6], "labels": next_of(g["labels"][:6])},
          ("data.pairing",)),
    Fault("labels are components", "model", every("labels", components), ("data.components",)),
    Fault("background is nucleus", "model", every("labels", background_too),
          ("data.background", "data.coverage")),
    Fault("labels are a mask", "model", every("labels", lambda a: (a > 0).astype(int)),
          ("data.masks", "data.components")),
    Fault("labels empty", "model", every("labels", lambda a: 0 * a), ("data.empty",)),
    Fault("duplicates", "model", doubles, ("data.duplicates",)),
    Fault("leak", "model", lambda g: {**g, "held_out": g["images"][2:5]}, ("data.leak",)),
    Fault("targets [V, H]", "targets", every("hv", lambda a: a[::-1].copy()),
          ("data.hv_order",)),
    Fault("targets inward", "targets", every("hv", lambda a: -a), ("data.hv_sign",)),
    Fault("targets [V, H] inward", "targets", every("hv", lambda a: -a[::-1]),
          ("data.hv_order", "data.hv_sign")),
    Fault("targets int8", "targets", every("hv", lambda a: (127 * a).round().astype("i1")),
          ("data.hv_divisor",)),
    Fault("targets times 127", "targets", every("hv", lambda a: 127 * a),
          ("data.hv_divisor", "data.hv_range")),
    Fault("targets short", "targets", every("hv", lambda a: 0.25 * a), ("data.hv_scale",)),
    Fault("targets resized", "targets", every("hv", hv_resized), ("data.hv_resized",)),
    Fault("targets moved", "targets", moved("hv", 6, 6), ("data.hv_labels",)),
    Fault("targets off centre", "targets", in_convention(HVConvention(centre="distance_peak")),
          ("data.hv_origin",)),
    Fault("targets of components", "targets",
          lambda g: {**g, "hv": [nh.hv_targets(components(a)) for a in g["labels"]]},
          ("data.hv_labels",)),
    Fault("np inverted", "targets", every("np", lambda a: 1 - a), ("data.np",)),
    Fault("types off by one", "types", every("types", lambda a: a - (a > 0)),
          ("data.types", "data.type_conflict")),
    Fault("types everywhere", "types", every("types", lambda a: a + 1),
          ("data.type_conflict", "data.types")),
    Fault("types too high", "types", every("types", lambda a: a + 3 * (a > 0)),
          ("data.types",)),
    Fault("maps: hv swapped", "maps", every("hv", lambda a: a[::-1].copy()),
          ("model.hv_order",)),
    Fault("maps: logits of the wrong channel", "maps", every("np", lambda a: 1 - a),
          ("model.np_channel",)),
    Fault("maps: hv mirrored, np not", "maps", every("hv", lambda a: a[:, :, ::-1].copy()),
          ("model.hv_own_shape", "model.hv_direction", "model.orientation")),
    Fault("story augmentation", "targets", put(augmentation="story"),
          ("augmentation.hv", "augmentation.mean")),
    Fault("flips image only", "model", put(augmentation=flips_image_only),
          ("augmentation.labels",)),
    Fault("flips without negating", "targets", put(augmentation=flips_without_negating),
          ("augmentation.hv", "augmentation.mean")),
    Fault("epsilon outside", "nothing", put(loss=outside_root), ("loss.finite",)),
    Fault("mean over all pixels", "nothing", put(loss=over_all_pixels),
          ("loss.mask", "loss.denominator")),
    Fault("length only", "nothing", put(loss=length_only), ("loss.direction",)),
    Fault("types over background", "types", put(loss=HoverLoss(nt_inside_only=False)),
          ("loss.types_background",)),
    Fault("hv drowns np", "model", put(loss=HoverLoss(lambda_hv=400.0)),
          ("loss.share", "loss.gradient_share")),
)  # fmt: skip

PAIRS = (
    ("relabel preset", "bgr images"),
    ("relabel preset", "hv swapped"),
    ("magnitude peaks preset", "np biased"),
    ("relabel preset", "labels moved"),
    ("absolute gradient", "hv negated"),
    ("labels are components", "maps moved 56 px"),
    ("leak", "hv without direction"),
    ("targets [V, H]", "np inverted"),
    ("targets int8", "story augmentation"),
    ("np channel 0", "hv drowns np"),
    ("images too small", "relabel preset"),
    ("duplicates", "untrained hv head"),
)
"""Names of faults planted together."""


def told(report: Any, n: int = 4) -> str:
    """Return the first findings in a line."""
    worst = [f for f in report.findings if f.verdict in ("fault", "warn")][:n]
    return ", ".join(f"{f.id}{'' if f.verdict == 'fault' else '?'} {f.certainty:.2f}"
                     f"{'*' if f.explained_by else ''}" for f in worst) or "nothing"  # fmt: skip


def first(report: Any, n: int) -> list[str]:
    """Return ids of the first causes."""
    return [f.id for f in report.findings if f.verdict == "fault" and not f.explained_by][:n]


def run_one(given: Given) -> tuple[Any, float]:
    """Diagnose; returns the report and the seconds it took."""
    torch.manual_seed(0)
    began = time.perf_counter()
    report = nh.diagnose(**given)
    return report, time.perf_counter() - began


def singles(faults: tuple[Fault, ...], only: str) -> tuple[int, int]:
    """Plant each fault alone."""
    right = total = 0
    for fault in (f for f in faults if only in f.name):
        total += 1
        try:
            report, seconds = run_one(fault.plant(BASES[fault.base]()))
        except Exception:
            print(f"CRASH {fault.name}")
            traceback.print_exc()
            continue
        good = bool(set(first(report, 1)) & set(fault.names))
        right += good
        print(f"{'ok   ' if good else 'WRONG'} {fault.name} ({seconds:.0f} s): {told(report)}",
              flush=True)  # fmt: skip
    return right, total


def pairs(only: str) -> tuple[int, int]:
    """Plant faults two at a time."""
    known = {f.name: f for f in (*FAULTS, *OTHERS, *MORE)}
    right = total = 0
    for names in (p for p in (*PAIRS, *MORE_PAIRS) if only in " + ".join(p)):
        total += 1
        a, b = (known[name] for name in names)
        base = a.base if a.base != "nothing" else b.base
        report, seconds = run_one(b.plant(a.plant(BASES[base]())))
        seen = set(first(report, 2))
        good = bool(seen & set(a.names)) and bool(seen & set(b.names))
        right += good
        print(f"{'ok   ' if good else 'WRONG'} {' + '.join(names)} ({seconds:.0f} s): "
              f"{told(report)}", flush=True)  # fmt: skip
    return right, total


def healthy(only: str) -> tuple[int, int]:
    """Plant nothing; returns faults and warnings that were found all the same."""
    faults = warnings = 0
    for name, make in (HEALTHY | MORE_HEALTHY).items():
        if only not in name:
            continue
        report, seconds = run_one(make())
        faults, warnings = faults + len(report.faults), warnings + len(report.warnings)
        good = not report.faults and not report.warnings
        not_run = [f.id for f in report.not_tested if "failed" in f.evidence]
        print(f"{'ok   ' if good else 'ALARM'} {name} ({seconds:.0f} s): {told(report)}"
              f"{'; crashed: ' + ', '.join(not_run) if not_run else ''}", flush=True)  # fmt: skip
    return faults, warnings


def main() -> int:
    """Print every case and the sums; exit 1 if one of them is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--part", choices=("single", "other", "pair", "healthy"))
    options = parser.parse_args()
    wanted = (options.part,) if options.part else ("healthy", "single", "other", "pair")
    bad = 0
    if "healthy" in wanted:
        faults, warnings = healthy(options.only)
        print(f"healthy: {faults} faults, {warnings} warnings (wanted 0 and at most 1)\n")
        bad += faults + max(warnings - 1, 0)
    for part, faults in (("single", FAULTS), ("other", (*OTHERS, *MORE))):
        if part in wanted:
            right, total = singles(faults, options.only)
            print(f"{part}: {right} of {total} named first\n")
            bad += total - right
    if "pair" in wanted:
        right, total = pairs(options.only)
        print(f"pairs: {right} of {total} with both among the first two")
        bad += total - right
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
