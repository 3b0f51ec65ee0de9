"""Score a training's averaged weights on the validation images and write the best one.

    python tools/pick_default_model.py --data ../shared/data --runs runs \
        --stage default-2 --write src/napari_hovernet/core/weights/lite.safetensors

Candidates are the last snapshots of the stage, the mean of the last few, and, where an
earlier stage of the same kind is named with ``--with``, its last snapshot. Each is judged on
whole validation images, and as a stand-in for other laboratories on parts of them restained
and at 0.6 and 1.6 times their size: the mean over the sources of AJI and PQ, three parts as
they are and one part each shift. The winner's HV kernels are scaled so that offsets are nearly
as long as the truth's (a mean squared error makes them short; see ``LENGTH``). It is written
as float16 with its scores in the header, and its model card beside it. No image of a test set
is looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from default_model import card
from default_model.data import Sample, load_split
from default_model.judge import State, as_model, average, in_glands, judge, quick, shifted, told
from default_model.recipe import ARCHITECTURE, STAGES, Stage

import napari_hovernet as nh

ENCODER = "encoder from ImageNet weights of EfficientNet-Lite0, Apache 2.0"
NOT_FREE = "CC BY-NC-SA 4.0 (trained on MoNuSeg, CoNSeP and DSB 2018{more})"
FREE_FOR_ALL = (
    "Apache 2.0 (free for commercial use; trained on CoNSeP and DSB 2018 (CC0) only{more})"
)
SHIPPED = ("lite-free", "lite-typed")
"""Built-in models that a stage may start from, trained by stages of this recipe themselves."""
VALIDATION = ("monuseg", "consep", "dsb_purple", "dsb_white")
PLAIN_PARTS = 3.0
SHIFTS = ("restained", "x0.6", "x1.6")
MEANS = (6, 9, 18)
"""Snapshots in an average."""
LENGTH = 0.955
"""Share of the true length of HV inside nuclei: what is scaled is longer outside, too."""
FLAT = {"black": 0, "white": 255, "grey": 128, "light grey": 220}


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True, help="--out of the training")
    parser.add_argument("--stage", required=True, choices=[stage.name for stage in STAGES])
    parser.add_argument("--with", dest="others", nargs="*", default=[], help="earlier stages")
    parser.add_argument("--last", type=int, default=2, help="snapshots to try by themselves")
    parser.add_argument("--keep", type=float, default=0.0, help="share of what the stage began as")
    parser.add_argument("--plain", action="store_true", help="judge without the shifts: quicker")
    parser.add_argument("--write", type=Path, help=".safetensors")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def candidates(args: argparse.Namespace) -> dict[str, State]:
    """Weights by what they are."""
    files = sorted((args.runs / args.stage).glob("step_*.pt"))
    if not files:
        raise SystemExit(f"{args.runs / args.stage} has no step_*.pt yet.")
    found = {f"{args.stage}/{f.stem}": average([f]) for f in files[-args.last :]}
    for n in MEANS:
        if len(files) >= n:
            found[f"{args.stage}/mean of the last {n}"] = average(files[-n:])
    for other in args.others:
        last = sorted((args.runs / other).glob("step_*.pt"))[-1]
        found[f"{other}/{last.stem}"] = average([last])
    return found


def score(
    state: State, samples: list[Sample], shifts: tuple[str, ...], among: list[str]
) -> dict[str, object]:
    """Judge one candidate as it is and under the shifts."""
    model = as_model(state)
    result = {"plain": judge(model, samples, among)}
    total, parts = PLAIN_PARTS * result["plain"]["score"], PLAIN_PARTS
    for shift in shifts:
        result[shift] = judge(model, [shifted(s, shift) for s in quick(samples)], among)
        total, parts = total + result[shift]["score"], parts + 1
    return {"score": total / parts, **result}


def lengthened(state: State, factor: float) -> dict[str, torch.Tensor]:
    """Scale HV's last convolution."""
    last = ("outputs.hv.1.weight", "outputs.hv.1.bias", "heads.hv.3.weight", "heads.hv.3.bias")
    return {k: v * factor if k in last else v for k, v in state.items()}


def mixed(new: State, old: State, share: float) -> dict[str, torch.Tensor]:
    """Mean of two sets of weights, ``share`` of it the old ones; counters are the new ones'."""
    return {
        k: new[k].lerp(old[k].float(), share) if new[k].is_floating_point() else new[k] for k in new
    }


def on_flat(model: nh.Model) -> dict[str, int]:
    """Nuclei found where there is nothing: 256 x 256 of one shade."""
    return {
        name: int(nh.separate(nh.predict(model, np.full((256, 256, 3), v, np.uint8))).labels.max())
        for name, v in FLAT.items()
    }


def lineage(stage: Stage) -> list[Stage]:
    """Return the stages that the weights of ``stage`` went through, first to last."""
    by_name = {s.name: s for s in STAGES}
    return [*(lineage(by_name[stage.start]) if stage.start in by_name else []), stage]


def slim(result: dict[str, object]) -> dict[str, object]:
    """Leave out the rows per image and round."""

    def rounded(value: object) -> object:
        if isinstance(value, dict):
            return {k: rounded(v) for k, v in value.items() if k != "rows"}
        return round(value, 4) if isinstance(value, float) else value

    return rounded(result)  # type: ignore[return-value]


def write(name: str, state: State, scores: dict[str, object], args: argparse.Namespace) -> None:
    """Save the winner with its training and scores in the header."""
    stage = next(s for s in STAGES if s.name == name.split("/", 1)[0])
    passed = lineage(stage)
    stages = [json.loads((args.runs / s.name / "config.json").read_text()) for s in passed]
    history = [
        {"stage": s.name, **json.loads(line)}
        for s in passed
        for line in (args.runs / s.name / "log.jsonl").read_text().splitlines()
    ]
    if passed[0].start in SHIPPED:  # its folder may be gone; its header tells the same
        earlier, own = nh.load_model(passed[0].start).info, {s["name"] for s in stages}
        stages = [*(s for s in earlier.training["stages"] if s["name"] not in own), *stages]
        history = [*(h for h in earlier.history if h["stage"] not in own), *history]
    free = not any(source.startswith("monuseg") for s in stages for source in s["shares"])
    licence = (FREE_FOR_ALL if free else NOT_FREE).format(
        more=f"; {ENCODER}" if stage.architecture == ARCHITECTURE else ""
    )
    model = as_model(state, licence, half=False)
    training = {"weights": name, "stages": stages, "validation": slim(scores)}
    info = replace(
        model.info, training=training, history=tuple(history[:: max(1, len(history) // 40)])
    )
    nh.save_model(nh.Model(model.network, info, model.device), args.write, dtype=torch.float16)
    add_sum(args.write)
    told_in = card.write(args.write, scores, stages, name, info.licence, info.parameters)
    print(f"written: {args.write} ({args.write.stat().st_size / 1e6:.1f} MB) and {told_in}")


def add_sum(file: Path) -> None:
    """Put the file's checksum into SHA256SUMS beside it, which is compared at loading."""
    sums = file.with_name("SHA256SUMS")
    lines = sums.read_text().splitlines() if sums.exists() else []
    kept = [line for line in lines if not line.endswith(f"  {file.name}")]
    made = f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
    sums.write_text("\n".join(sorted([*kept, made], key=lambda line: line[66:])) + "\n")


def main() -> None:
    """Judge all candidates, print a table, write the best."""
    args = arguments()
    torch.set_num_threads(args.threads)
    samples = load_split(args.data, "val", VALIDATION)
    shifts = () if args.plain else SHIFTS
    own = lineage(next(stage for stage in STAGES if stage.name == args.stage))
    among = sorted({source.split("_")[0] for stage in own for source in stage.shares})
    states, judged = candidates(args), {}
    for name, state in states.items():
        judged[name] = score(state, samples, shifts, among)
        print(f"{judged[name]['score']:.4f}  {name}", flush=True)
        for kind in ("plain", *shifts):
            print(f"    {kind:10} {told(judged[name][kind])}", flush=True)
    best = max(judged, key=lambda name: judged[name]["score"])
    b = judged[best]["plain"]["balanced"]
    state = lengthened(states[best], LENGTH * b["inside_true"] / b["inside"])
    if args.keep:  # between both lies what knows the new and has not forgotten the old
        start = next(s.start for s in STAGES if s.name == args.stage)
        state = mixed(state, nh.load_model(start).network.state_dict(), args.keep)
        judged[f"{best} with {args.keep:.2f} of {start}"] = judged[best]
        best = f"{best} with {args.keep:.2f} of {start}"
    final = {**judged[best], "plain": judge(as_model(state), samples, among)}
    final["flat"] = on_flat(as_model(state))
    final["glands"] = in_glands(as_model(state))
    print(f"best: {best}; HV scaled: {told(final['plain'])}; nuclei on flat images {final['flat']}")
    (args.runs / args.stage / "scores.json").write_text(json.dumps({**judged, "final": final}))
    if args.write:
        write(best, state, final, args)


if __name__ == "__main__":
    main()
