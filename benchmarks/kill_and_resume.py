"""Kill a training at random moments with SIGKILL, resume it each time, count what was lost.

    python benchmarks/kill_and_resume.py --kills 20

A tiny network on generated tissue, as a real process. After each kill the resume file must
load, the models must load, and all whole lines of the events must be readable.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import torch

from napari_hovernet.app.corrections import PairAbout, save_training_pair
from napari_hovernet.app.runs import RunStore
from napari_hovernet.app.watch import parsed
from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.params import DataParams, OptimParams, TrainConfig
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.training.files import RunFolder

LONGEST_S = 4.0
"""Longest time from the first step after a start to the kill."""
WAIT_S = 120


def data(folder: Path) -> None:
    """Write generated tissue as pairs, one for validation."""
    for number in range(3):
        made = tissue(shape=(160, 160), seed=number)
        about = PairAbout(source=str(number), split="train" if number else "val")
        save_training_pair(folder, f"t{number}", made.image, made.labels, about)


def steps_of(folder: RunFolder) -> int:
    """Return the number of steps told so far."""
    lines = folder.events.read_bytes().splitlines() if folder.events.exists() else []
    events = [event for line in lines if (event := parsed(line)) is not None]
    return sum(event["event"] == "step" for event in events)


def wait_for_steps(folder: RunFolder, before: int) -> None:
    """Wait until the run, started again, has told a step."""
    end = time.monotonic() + WAIT_S
    while steps_of(folder) <= before:
        time.sleep(0.05)
        if time.monotonic() > end:
            raise TimeoutError(folder.log.read_text()[-2000:])


def damage(folder: RunFolder) -> list[str]:
    """Name what cannot be read after a kill."""
    bad = []
    try:
        if folder.resume_file.exists():
            torch.load(folder.resume_file, weights_only=True)
        for model in (folder.best, folder.last):
            if model.exists():
                load_model(model, "cpu")
    except Exception as error:  # any kind counts
        bad.append(f"{type(error).__name__}: {error}")
    lines = folder.events.read_bytes().splitlines()
    readable = sum(parsed(line) is not None for line in lines)
    if len(lines) - readable > 1:
        bad.append(f"{len(lines) - readable} lines of the events are not readable")
    return bad


def main() -> int:
    """Kill and resume; exit 1 if anything was lost but what came after the last checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, lost = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as place:
        data(Path(place) / "data")
        store = RunStore(Path(place) / "runs")
        config = TrainConfig(
            start="scratch:compact",
            name="killed",
            data=DataParams(sources=(f"{place}/data",), crop=64, max_val=1),
            optim=OptimParams(epochs=10_000, batch=2, steps_per_epoch=5),
            threads=1,
        )
        folder = store.create(config)
        store.start(folder)
        before = 0
        for kill in range(options.kills):
            wait_for_steps(folder, before)
            time.sleep(draw.uniform(0, LONGEST_S))
            pid = folder.read_status()["pid"]
            os.killpg(os.getpgid(pid), signal.SIGKILL)
            while store.info(folder).state != "killed":
                time.sleep(0.05)
            before, bad = steps_of(folder), damage(folder)
            lost += bool(bad)
            print(f"kill {kill + 1:2d} after {before} steps: {'; '.join(bad) or 'all readable'}")
            store.resume(folder)
        wait_for_steps(folder, before)
        store.kill(folder)
    print(f"{options.kills} kills, {options.kills} resumed, {lost} with something unreadable")
    return int(lost > 0)


if __name__ == "__main__":
    raise SystemExit(main())
