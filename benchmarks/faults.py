"""Does the diagnosis name the right cause and the right remedy? Planted faults, pairs, and none.

    python benchmarks/faults.py --half report              # figures
    python benchmarks/faults.py --half tune --family data  # while bounds are set
    python benchmarks/faults.py --only bgr --jobs 2 --kept out.jsonl  # goes on where it ended
    python benchmarks/faults.py --list

Bounds are set on the "tune" half alone; a fixed hash of its name says in which half a case is. A
single fault is right if the first cause that is named is one of the accepted ids and its remedy
one of the accepted ones; a pair if both are among the first two causes; a healthy set-up if it
has no fault and no warning above 0.5. Renamed ids follow ``tests/contract/diagnosis_ids.txt``.
Needs the images of ``../shared``. Exit status 1 if a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from faults_blind import BLIND, BLIND_PAIRS
from faults_common import ROOT, Fault, Given, base, half_of
from faults_data import DATA
from faults_fifth import FIFTH, FIFTH_HEALTHY, FIFTH_PAIRS
from faults_fourth import FOURTH, FOURTH_HEALTHY, FOURTH_PAIRS
from faults_healthy import HEALTHY, PAIRS
from faults_model import MODEL
from faults_rest import AUGMENTATION, LOSS, SEPARATION
from faults_stranger import STRANGE_PAIRS, STRANGER
from faults_third import THIRD, THIRD_HEALTHY, THIRD_PAIRS
from scipy import ndimage

import napari_hovernet as nh
from napari_hovernet.core.diagnosis import engine
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.measure.metrics import aji, contingency, dice

FAULTS: tuple[Fault, ...] = (*DATA, *MODEL, *SEPARATION, *LOSS, *AUGMENTATION, *STRANGER,
                           *BLIND, *THIRD, *FOURTH, *FIFTH)  # fmt: skip
PARTS = ("single", "pair", "healthy")
WANTED = {"named first": 0.95, "cause and remedy": 0.90, "pairs in the top two": 0.85,
          "healthy and clean": 1.0}  # fmt: skip
BANDS = (0.5, 0.7, 0.9)
"""Lower ends of the bands of certainty whose share of right findings is counted."""
LOUD = 0.5
"""A warning above this is a false alarm in a healthy set-up."""
LEAST_DICE = 0.7
SHOWN = 4
"""Findings printed of each case."""


@dataclass(frozen=True)
class Task:
    """One set-up: with one fault, with two, or with none."""

    name: str
    part: str
    faults: tuple[Fault, ...] = ()
    healthy: Callable[[], Given] | None = None

    @property
    def half(self) -> str:
        """Tune or report."""
        return half_of(self.name)

    @property
    def families(self) -> set[str]:
        """Families of the checks that should speak."""
        return {fault.family for fault in self.faults}

    @property
    def cost(self) -> str:
        """Cheap, normal or slow."""
        costs = [fault.cost for fault in self.faults] or ["normal"]
        return max(costs, key=("cheap", "normal", "slow").index)

    def given(self) -> Given:
        """Make the arguments of ``diagnose``."""
        if self.healthy is not None:
            return self.healthy()
        on = next((f.base for f in self.faults if not f.base.startswith("nothing")), "nothing:")
        given = base(on)
        for fault in self.faults:
            given = fault.plant(given)
        return given


@cache
def tasks() -> tuple[Task, ...]:
    """List all set-ups."""
    known = {fault.name: fault for fault in FAULTS}
    return (
        *(Task(fault.name, "single", (fault,)) for fault in FAULTS),
        *(
            Task(f"{a} + {b}", "pair", (known[a], known[b]))
            for a, b in (
                *PAIRS,
                *STRANGE_PAIRS,
                *BLIND_PAIRS,
                *THIRD_PAIRS,
                *FOURTH_PAIRS,
                *FIFTH_PAIRS,
            )
        ),
        *(Task(name, "healthy", healthy=make) for name, make in HEALTHY.items()),
        *(
            Task(name, "healthy", healthy=lambda on=on, plant=plant: plant(base(on)))
            for name, (on, plant) in {**THIRD_HEALTHY, **FOURTH_HEALTHY, **FIFTH_HEALTHY}.items()
        ),
    )


@cache
def renamed() -> dict[str, str]:
    """Read where the question of a check that was given up is answered now."""
    lines = (ROOT / "tests" / "contract" / "diagnosis_ids.txt").read_text("utf-8").splitlines()
    pairs = (line.partition("->") for line in lines if "->" in line)
    return {old.strip(): new.strip() for old, _, new in pairs}


def accepted(fault: Fault) -> set[str]:
    """Ids of findings that name the cause, under their names of today too."""
    ids = set(fault.ids.split())
    return ids | {renamed()[name] for name in ids if name in renamed()}


@dataclass
class Outcome:
    """What came of one set-up; JSON-able."""

    name: str
    part: str
    half: str
    families: list[str]
    cost: str
    good: bool = False
    remedy: bool = False  # Of a single fault: the first cause's remedy is right too
    as_fault: bool = False  # The first cause was a fault, not a warning
    findings: list[dict[str, Any]] = field(default_factory=list)  # Causes, the first first
    scores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)  # Checks that broke down
    crash: str = ""

    @property
    def silent(self) -> bool:
        """Whether a bad score stands there, and nothing wrong was found."""
        s = self.scores
        bad = bool(s) and (s["aji"] < s["components"] or s["dice"] < LEAST_DICE)
        return bad and not self.findings and not self.crash

    @property
    def line(self) -> str:
        """One line."""
        said = [f"{f['id']}{'' if f['verdict'] == 'fault' else '?'} {f['certainty']:.2f}"
                + (f" {f['gain']:+.2f}" if f["gain"] is not None else "")
                for f in self.findings[:SHOWN]]  # fmt: skip
        word = "ok   " if self.good else "CRASH" if self.crash else "WRONG"
        word = "remed" if self.part == "single" and self.good and not self.remedy else word
        score = " ".join(f"{name} {v:.2f}" for name, v in self.scores.items())
        failed = f" | broke down: {', '.join(self.failed)}" if self.failed else ""
        silent = " | SILENT" if self.silent else ""
        said = ", ".join(said) or self.crash or "nothing"
        return f"{word} {self.name} ({self.seconds:.1f} s): {said} | {score}{failed}{silent}"


class _Kept(Bench):
    """Remembers the bench of the last diagnosis: its maps and cuts are scored afterwards."""

    last: Bench | None = None

    def __init__(self, case: Any, params: Any = None) -> None:
        super().__init__(case, params)
        _Kept.last = self


def scores_of(bench: Bench | None) -> dict[str, float]:
    """Score the instances against the labels: AJI, that of plain components, Dice."""
    rows = []
    for index in () if bench is None else bench.map_indices:
        item, maps, cut = bench.item(index), bench.maps(index), bench.instances(index)
        true = None if item is None else item.labels
        if true is None or maps is None or cut is None or not true.any():
            continue
        if true.shape == cut.shape == maps.shape:
            table, parts = contingency(true, cut), ndimage.label(maps.np > 0.5)[0]
            rows.append((aji(table), aji(contingency(true, parts)), dice(table)))
    names = ("aji", "components", "dice")
    return dict(zip(names, np.mean(rows, 0).round(3).tolist(), strict=True)) if rows else {}


def run(task: Task) -> Outcome:
    """Diagnose one set-up, and judge what is said."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - that of faults that draw from it
    out = Outcome(task.name, task.part, task.half, sorted(task.families), task.cost)
    engine.Bench, _Kept.last = _Kept, None  # type: ignore[misc]
    try:
        given = task.given()
        began = time.perf_counter()
        report = nh.diagnose(**given)
        out.seconds = round(time.perf_counter() - began, 2)
        _judge(out, task, report)
        out.scores = scores_of(_Kept.last)
    except Exception as error:  # one set-up must not end the others
        out.crash = f"{type(error).__name__}: {error} ({traceback.format_exc().splitlines()[-2]})"
    finally:
        engine.Bench = Bench  # type: ignore[misc]
    return out


def _judge(out: Outcome, task: Task, report: Any) -> None:
    causes = [f for f in report.findings if f.is_cause]
    right = set().union(*(accepted(fault) for fault in task.faults))
    out.findings = [
        {"id": f.id, "verdict": f.verdict, "title": f.title, "certainty": round(f.certainty, 3),
         "gain": None if math.isnan(f.gain) else round(f.gain, 3), "right": f.id in right,
         "remedy": f.remedy.text, "action": f.remedy.action, "value": f.remedy.value}
        for f in causes
    ]  # fmt: skip
    out.failed = [f.id for f in report.not_tested if "the check failed" in f.evidence]
    out.as_fault = bool(causes) and causes[0].verdict == "fault"
    if task.part == "healthy":
        loud = [f for f in report.warnings if f.certainty > LOUD]
        out.good = not report.faults and not loud
    elif causes:
        out.good = all(any(f.id in accepted(fault) for f in causes[: len(task.faults)])
                       for fault in task.faults)  # fmt: skip
        out.remedy = out.good and task.faults[0].mended_by(causes[0].remedy)


def share(outcomes: Sequence[Outcome], good: Callable[[Outcome], bool]) -> tuple[int, int]:
    """Count."""
    return sum(map(good, outcomes)), len(outcomes)


def summary(outcomes: Sequence[Outcome]) -> dict[str, tuple[int, int]]:
    """Count what was right of each part."""
    of = {part: [o for o in outcomes if o.part == part] for part in PARTS}
    return {
        "named first": share(of["single"], lambda o: o.good),
        "cause and remedy": share(of["single"], lambda o: o.good and o.remedy),
        "named first as a fault": share(of["single"], lambda o: o.good and o.as_fault),
        "pairs in the top two": share(of["pair"], lambda o: o.good),
        "healthy and clean": share(of["healthy"], lambda o: o.good),
    }


def calibration(outcomes: Iterable[Outcome]) -> dict[str, dict[str, tuple[int, int]]]:
    """Of the causes that were named with a certainty: how many were right."""
    table: dict[str, dict[str, tuple[int, int]]] = {"first causes": {}, "all causes": {}}
    outcomes = list(outcomes)
    for low, high in zip(BANDS, (*BANDS[1:], math.inf), strict=True):
        for which, n in (("first causes", 1), ("all causes", None)):
            right = [f["right"] for o in outcomes for f in o.findings[:n]
                     if low <= f["certainty"] < high]  # fmt: skip
            table[which][f"from {low}"] = (sum(right), len(right))
    return table


def tell(outcomes: Sequence[Outcome]) -> int:
    """Print the sums; 1 if a figure is missed."""
    missed = False
    for name, (right, total) in summary(outcomes).items():
        wanted = WANTED.get(name)
        if total:
            missed |= wanted is not None and right < wanted * total
            aim = "" if wanted is None else f" (wanted {wanted:.0%})"
            print(f"{name:24s} {right:4d} of {total:4d}  {right / total:6.1%}{aim}")
    for which, bands in calibration(outcomes).items():
        said = "; ".join(f"{band}: {right} of {total} right" for band, (right, total)
                         in bands.items())  # fmt: skip
        print(f"{which:24s} {said}")
    silent = [o.name for o in outcomes if o.silent]
    broken = sorted({name for o in outcomes for name in o.failed})
    crashed = [o.name for o in outcomes if o.crash]
    print(f"{'silent over a bad score':24s} {len(silent):4d}  {'; '.join(silent)}")
    print(f"{'checks that broke down':24s} {len(broken):4d}  {', '.join(broken)}")
    print(f"{'crashed':24s} {len(crashed):4d}  {'; '.join(crashed)}")
    print(f"{'seconds':24s} {sum(o.seconds for o in outcomes):.0f}")
    return int(missed or bool(silent or broken or crashed))


def chosen(options: argparse.Namespace) -> list[Task]:
    """Pick set-ups by the options of the command line."""
    return [
        task for task in tasks()
        if options.half in (None, task.half) and options.part in (None, task.part)
        and (not options.set or task.name.startswith(f"{options.set} "))
        and options.cost in (None, task.cost) and options.only.lower() in task.name.lower()
        and (options.family is None or options.family in task.families)
    ]  # fmt: skip


def _by_name(name: str) -> Outcome:
    torch.set_num_threads(1)
    return run(next(task for task in tasks() if task.name == name))


def run_all(wanted: Sequence[Task], jobs: int) -> Iterable[Outcome]:
    """Run set-ups one after the other, or in processes of their own."""
    if jobs < 2:
        yield from map(run, wanted)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_by_name, [task.name for task in wanted])


def main() -> int:
    """Print every case and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("tune", "report"))
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--set", default="", help="cases whose name begins with this word: E, F, G")
    parser.add_argument("--family", choices=("data", "model", "separation", "loss", "augmentation"))
    parser.add_argument("--cost", choices=("cheap", "normal", "slow"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kept", type=Path, help="append outcomes; those there are not run again")
    parser.add_argument("--list", action="store_true", help="only list the cases")
    options = parser.parse_args()
    wanted = chosen(options)
    if options.list:
        for task in wanted:
            print(f"{task.half:6s} {task.part:7s} {task.cost:6s} {task.name}")
        return 0
    outcomes = kept(options.kept, {task.name for task in wanted})
    known = {outcome.name for outcome in outcomes}
    for outcome in run_all([task for task in wanted if task.name not in known], options.jobs):
        print(outcome.line, flush=True)
        outcomes.append(outcome)
        if options.kept is not None:
            with open(options.kept, "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcome), default=str) + "\n")
    print()
    return tell(outcomes)


def kept(file: Path | None, names: set[str]) -> list[Outcome]:
    """Read outcomes of set-ups of these names."""
    lines = file.read_text("utf-8").splitlines() if file is not None and file.exists() else []
    fields, rows = Outcome.__dataclass_fields__, map(json.loads, lines)
    return [Outcome(**{k: v for k, v in row.items() if k in fields}) for row in rows
            if row["name"] in names]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
