"""How inference grows with the image, and what tiles and precision give on a GPU.

    python benchmarks/inference.py growth --edges 1000 2000 4000 10000
    python benchmarks/inference.py gpu --edge 8000
    python benchmarks/inference.py folded --edge 1000

"growth" runs the command line on generated tissue of each size, each in a process of its
own, and prints time, time per megapixel and peak memory. "gpu" compares fast HoVer-Net
with types: large tiles in bfloat16 against the published tiling in float32, on the same
GPU, and shows what of the time is not the network. "folded" compares, on the CPU, the network
as it is loaded with the copy that inference makes of it. Ratios hold; seconds are this
computer's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from napari_hovernet.core import inference
from napari_hovernet.core.checkpoint import load_model
from napari_hovernet.core.inference import predict_steps
from napari_hovernet.core.inference.devices import resolve_device
from napari_hovernet.core.inference.lane import Timings
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.networks.registry import build
from napari_hovernet.core.params import InferenceParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Maps, Model, ModelInfo
from napari_hovernet.errors import DeviceError

PATCH = 1000
"""Edge of the generated tissue that larger images repeat."""
MEGA = 1e6
GIGA = 1e9
PEAK_WANTED = 4.0
"""GB that segmenting 10,000 x 10,000 px may take."""
AGREEMENT_WANTED = 0.98
"""PQ between the instances of both ways."""


def sample(edge: int) -> np.ndarray:
    """Tissue of any size: one generated patch, mirrored so that no nucleus is cut."""
    patch = tissue((PATCH, PATCH), seed=1).image
    double = np.concatenate([patch, patch[::-1]])
    double = np.concatenate([double, double[:, ::-1]], axis=1)
    count = -(-edge // double.shape[0])
    return np.tile(double, (count, count, 1))[:edge, :edge]


def measured(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its wall seconds, CPU seconds and peak memory in GB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - started, cpu, usage.ru_maxrss * unit / GIGA


def growth(args: argparse.Namespace) -> None:
    """Print time and memory of the whole command line by image size."""
    print(f"{'edge':>7}{'Mpx':>8}{'s':>9}{'CPU s':>9}{'CPU s/Mpx':>11}{'peak GB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for edge in args.edges:
            path = Path(folder) / f"tissue_{edge}.tif"
            tifffile.imwrite(path, sample(edge), photometric="rgb", tile=(512, 512))
            program = [sys.executable, "-m", "napari_hovernet"]
            command = [*program, "segment", str(path), "-o", folder, "--quiet"]
            spent, cpu, peak = measured([*command, "--device", args.device])
            size = edge * edge / MEGA
            row = f"{edge:7}{size:8.1f}{spent:9.1f}{cpu:9.1f}{cpu / size:11.2f}"
            print(f"{row}{peak:9.2f}", flush=True)
            path.unlink()
    print(f"wanted: CPU s/Mpx not growing, peak at most {PEAK_WANTED} GB at 10,000")


def timed(model: Model, image: np.ndarray, params: InferenceParams) -> tuple[Maps, Timings]:
    """Predict and time it, after one small run that warms up."""
    for _ in predict_steps(model, image[:PATCH, :PATCH], params):
        pass
    timings = Timings()
    steps = predict_steps(model, image, params, timings)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value, timings


def gpu(args: argparse.Namespace) -> None:
    """Compare large bfloat16 tiles with the published tiling in float32 on a GPU."""
    try:
        device = resolve_device("cuda")
    except DeviceError as error:
        raise SystemExit(f"this part needs a GPU: {error}") from error
    if args.model:
        model = load_model(args.model, device=str(device))
    else:
        torch.manual_seed(0)
        network = build("hovernet", {"mode": "fast", "n_types": 6}).eval().to(device)
        model = Model(network, ModelInfo("hovernet", mode="fast"), device)
    image = sample(args.edge)
    ways = {
        "reference float32": InferenceParams(tiling="reference", precision="float32"),
        "large float32": InferenceParams(precision="float32"),
        "large bfloat16": InferenceParams(precision="bfloat16"),
    }
    print(f"{'':20}{'Mpx/s':>9}{'total s':>9}{'network':>9}{'read':>8}{'write':>8}{'other':>8}")
    results, rates = {}, {}
    for name, params in ways.items():
        results[name], t = timed(model, image, params)
        rates[name] = t.pixels / t.total
        other = max(t.total - t.network, 0.0)
        row = f"{name:20}{rates[name] / MEGA:9.2f}{t.total:9.2f}{t.network:9.2f}"
        print(f"{row}{t.read:8.2f}{t.write:8.2f}{other:8.2f}", flush=True)
    first, *_, last = ways
    print(f"large bfloat16 : reference float32 = {rates[last] / rates[first]:.1f} x")
    labels = [separate(results[name]).labels for name in (first, last)]
    print(f"PQ of the instances {evaluate(*labels).pq:.4f} (wanted {AGREEMENT_WANTED}),", end=" ")
    print(f"{int(labels[0].max())} and {int(labels[1].max())} nuclei")
    print("network: device time, copies included; read and write run beside it")


def folded(args: argparse.Namespace) -> None:
    """Compare the loaded network with its folded copy, one run after the other."""
    image, usual = sample(args.edge), inference.folded
    print(f"{'':16}{'as loaded':>11}{'folded':>9}{'ratio':>8}{'NP':>10}{'HV':>10}{'PQ':>8}")
    for name in args.models:
        model = load_model(name, device="cpu")
        spent: dict[str, list[float]] = {"loaded": [], "folded": []}
        maps: dict[str, Maps] = {}
        for _ in range(args.repeats + 1):
            for way, seconds in spent.items():
                inference.folded = usual if way == "folded" else lambda network: network
                started = time.process_time()
                maps[way] = inference.predict(model, image)
                seconds.append(time.process_time() - started)
        a, b = (np.array(seconds[1:]) for seconds in spent.values())
        off = [
            abs(getattr(maps["loaded"], m) - getattr(maps["folded"], m)).max() for m in ("np", "hv")
        ]
        pq = evaluate(*(separate(m).labels for m in maps.values())).pq
        row = f"{name:16}{np.median(a):11.2f}{np.median(b):9.2f}{np.median(a / b):8.2f}"
        print(f"{row}{off[0]:10.1e}{off[1]:10.1e}{pq:8.4f}", flush=True)
    inference.folded = usual


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("growth", help="time and memory by image size")
    part.add_argument("--edges", type=int, nargs="+", default=[1000, 2000, 4000, 10000])
    part.add_argument("--device", default="cpu")
    part.set_defaults(run=growth)
    part = parts.add_parser("gpu", help="tiles and precision on a GPU")
    part.add_argument("--edge", type=int, default=8000)
    part.add_argument("--model", help="checkpoint; default: fast HoVer-Net, random weights")
    part.set_defaults(run=gpu)
    part = parts.add_parser("folded", help="what folding gives on the CPU")
    part.add_argument("--edge", type=int, default=1000)
    part.add_argument("--repeats", type=int, default=5)
    part.add_argument("--models", nargs="+", default=["compact", "lite-typed"])
    part.set_defaults(run=folded)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
