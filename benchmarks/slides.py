"""Whole slides: equal to one big image, memory and time by size, writing, finish, kills.

    python benchmarks/slides.py equal --edge 4000 --blocks 512 1024 2048
    python benchmarks/slides.py grow --edges 1000 3000 10000
    python benchmarks/slides.py kill --edge 600 --kills 50
    python benchmarks/slides.py real ../shared/slides/CMU-1-Small-Region.svs --blocks 512 1024
    xvfb-run python benchmarks/slides.py pan --blocks 4096
    python benchmarks/slides.py speedup --edge 3072 --blocks 512
    python benchmarks/slides.py simulate --slides 1000 --seconds 40 --workers-of 1 32 128

``equal``, ``grow`` and ``kill`` draw a slide whose pixels say what a network would give (tests/
core/slides/drawn.py), so that blocks, separation, store and finish are measured, not a network.
CPU seconds count, not those on the clock: they hold on a machine that others use too.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile

ROOT = Path(__file__).resolve().parents[1]
DRAWN = ROOT / "tests" / "core" / "slides" / "drawn.py"
TILE, PATCH = 256, 1024
STEPS = (4, 16)
"""Of the pyramid, as slide scanners write it."""
LEAST = 0.5
"""CPU seconds of a worker at least; Python's own helpers take less."""
COMMAND = [sys.executable, "-m", "napari_hovernet", "slide"]


def drawn() -> Any:
    """Import the drawing of the tests."""
    spec = importlib.util.spec_from_file_location("drawn", DRAWN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mosaic(path: Path, edge: int) -> Path:
    """Write a slide of ``edge`` px made of four drawn patches, cut where they end; a pyramid."""
    patches = np.stack([drawn().scene((PATCH, PATCH), seed, chain=seed == 0) for seed in range(4)])

    def tiles(step: int) -> Iterator[np.ndarray]:
        small, size = patches[:, ::step, ::step], PATCH // step
        for r in range(0, -(-edge // step), TILE):
            for c in range(0, -(-edge // step), TILE):
                rows, cols = r + np.arange(TILE)[:, None], c + np.arange(TILE)
                which = (rows // size * 7 + cols // size * 3) % 4
                yield small[which, rows % size, cols % size]

    about = {"dtype": np.uint8, "tile": (TILE, TILE), "photometric": "rgb", "compression": "zstd"}
    steps = [step for step in STEPS if edge > step * TILE]
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        for step in (1, *steps):
            shape = (-(-edge // step),) * 2
            more = {"subfiletype": 1} if step > 1 else {
                "subifds": len(steps),
                "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "axes": "YXS"},
            }  # fmt: skip
            file.write(tiles(step), shape=(*shape, 3), **about, **more)
    return path


def measured(command: list[str]) -> dict[str, Any]:
    """Run a command; CPU seconds and the largest memory of it or one of its processes."""
    process, peak, cpu = psutil.Popen(command), 0, {}
    while process.poll() is None:
        try:
            for one in [process, *process.children(recursive=True)]:
                peak = max(peak, one.memory_info().rss)
                cpu[one.pid] = sum(one.cpu_times()[:2])
        except psutil.Error:
            pass
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    own = cpu.pop(process.pid)
    return {"cpu": own + sum(cpu.values()), "peak_gb": peak / 1e9, "own": own,
            "workers": sorted(s for s in cpu.values() if s > LEAST)}  # fmt: skip


def slide(path: Path, out: Path, block: int, *more: str) -> list[str]:
    """Return the command of a run with stored maps."""
    return [*COMMAND, str(path), "-o", str(out), "--model", f"{DRAWN}:stub", "--device", "cpu",
            "--mask", "off", "--block", str(block), "-q", *more]  # fmt: skip


def labels_of(out: Path) -> np.ndarray:
    """Read the finest labels of a store."""
    from napari_hovernet.core.slides.store import SlideStore  # noqa: PLC0415

    return SlideStore(str(out)).group("r")["labels/0"][:]


def equal(folder: Path, options: argparse.Namespace) -> None:
    """Compare blocks of several sizes with the image in one piece, pixel by pixel."""
    path = mosaic(folder / "slide.ome.tif", options.edge)
    expected, nuclei = drawn().single_run(tifffile.imread(path))
    for block in options.blocks:
        out = folder / f"{block}.zarr"
        figures = measured(slide(path, out, block, "--workers", str(options.workers)))
        summary = json.loads((out / "summary.json").read_text())
        same = np.array_equal(labels_of(out), expected)
        print(
            f"{options.edge}^2, block {block}: {summary['nuclei']} of {len(nuclei)} nuclei, every "
            f"pixel {'equal' if same else 'NOT EQUAL'}; {summary['repeated_blocks']} of "
            f"{summary['blocks']} blocks twice; {figures['cpu']:.1f} CPU s, peak "
            f"{figures['peak_gb']:.2f} GB",
            flush=True,
        )


def grow(folder: Path, options: argparse.Namespace) -> None:
    """Measure memory, time and size by the edge of the slide; then writing and finish alone."""
    for edge in options.edges:
        path, out = mosaic(folder / "slide.ome.tif", edge), folder / "out.zarr"
        figures = measured(slide(path, out, options.blocks[0]))
        mpx = edge * edge / 1e6
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        print(
            f"{edge}^2: {figures['cpu']:.1f} CPU s ({figures['cpu'] / mpx:.3f} per Mpx with the "
            f"start), peak {figures['peak_gb']:.2f} GB, {size / mpx / 1e6:.2f} B/px",
            flush=True,
        )
        shutil.rmtree(out)
    stages(folder, options)


def stages(folder: Path, options: argparse.Namespace) -> None:
    """Measure reading, computing, writing and the finish in CPU ms per Mpx."""
    from napari_hovernet.core.params import InferenceParams, SeparationParams  # noqa: PLC0415
    from napari_hovernet.core.slides.blocks import Recipe, segment_block  # noqa: PLC0415
    from napari_hovernet.core.slides.finish import finish_steps  # noqa: PLC0415
    from napari_hovernet.core.slides.mask import find_tissue  # noqa: PLC0415
    from napari_hovernet.core.slides.params import OFF, SlideParams  # noqa: PLC0415
    from napari_hovernet.core.slides.source import open_slide  # noqa: PLC0415
    from napari_hovernet.core.slides.store import Run, create_store, write_block  # noqa: PLC0415

    edge, model = 2 * options.blocks[0], drawn().stub()
    source = open_slide(mosaic(folder / "stages.ome.tif", edge))
    recipe = Recipe(InferenceParams(), SeparationParams(), SlideParams(block=options.blocks[0]))
    run, tissue = Run.of(source, recipe, model.info, "stub"), find_tissue(source, OFF)
    for attempt in ("compiled", "measured"):  # the first pays for compiled loops
        store = create_store(folder / f"{attempt}.zarr", run, tissue)
        spent = {"segment_block": 0.0, "write_block": 0.0}
        for block in store.blocks:
            start = time.process_time()
            result = segment_block(model, source, block, recipe, tissue)
            between = time.process_time()
            write_block(store, result)
            spent["segment_block"] += between - start
            spent["write_block"] += time.process_time() - between
        start = time.process_time()
        for _ in finish_steps(store):
            pass
        spent["finish"] = time.process_time() - start
    told = ", ".join(f"{n} {s * 1e3 / (edge * edge / 1e6):.1f}" for n, s in spent.items())
    print(f"{edge}^2, blocks of {options.blocks[0]}, CPU ms per Mpx: {told}", flush=True)


class Cluster:
    """A dask scheduler and two workers, each a process that may be killed and is then replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.parts = folder, {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"

    def start(self) -> None:
        """Start what does not run; workers that have lost their scheduler end by themselves."""
        port = self.address.rpartition(":")[2]
        more = ["--no-dashboard", "--port", port]
        self._start("scheduler", "dask_scheduler", "--host", "127.0.0.1", *more)
        for name in ("worker 1", "worker 2"):
            self._start(name, "dask_worker", self.address, "--no-dashboard", "--no-nanny",
                        "--nthreads", "1", "--death-timeout", "20")  # fmt: skip

    def _start(self, name: str, module: str, *more: str) -> None:
        if name not in self.parts or self.parts[name].poll() is not None:
            command = [sys.executable, "-m", f"distributed.cli.{module}", *more]
            with (self.folder / "dask.log").open("a") as log:
                self.parts[name] = psutil.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def kill(self, *names: str) -> None:
        """Kill some of it."""
        for name in names:
            if self.parts[name].poll() is None:
                self.parts[name].kill()
                self.parts[name].wait()


def kill(folder: Path, options: argparse.Namespace) -> None:
    """Kill a run again and again: itself, its workers, dask's workers and scheduler; compare."""
    path = mosaic(folder / "slide.ome.tif", options.edge)
    out, whole, rng = folder / "out.zarr", folder / "whole.zarr", np.random.default_rng(1)
    subprocess.run(slide(path, whole, 128), check=True)
    expected, rounds, killed = contents(whole), 1, dict[str, int]()
    cluster = Cluster(folder)
    log = (folder / "runs.log").open("w")
    while sum(killed.values()) < options.kills:
        by_dask = sum(killed.values()) >= options.kills // 2
        if by_dask:
            cluster.start()
        more = ["--scheduler", cluster.address] if by_dask else ["--workers", "2"]
        run = psutil.Popen(slide(path, out, 128, *more), stdout=log, stderr=log)
        begun = len(list(out.glob("blocks/*.json")))
        while run.poll() is None and len(list(out.glob("blocks/*.json"))) <= begun:
            time.sleep(0.05)  # a kill before the first block would test the start of Python
            if by_dask:
                cluster.start()  # workers outlive their scheduler for a while
        time.sleep(rng.uniform(0, options.most))
        names = ["client", *cluster.parts] if by_dask else ["run", "worker"]
        if run.poll() is None:
            kind = strike(str(rng.choice(names)), run, cluster)
            killed[kind] = killed.get(kind, 0) + 1
            print(f"killed {killed}", flush=True)
            time.sleep(rng.uniform(0, 1))
            run.kill()
        run.wait()
        for name in list(out.glob("blocks/*.json")):
            json.loads(name.read_bytes())  # a marker is whole or not there
        if run.returncode == 0:  # done before it could be killed: begin anew
            assert not (differ := differing(contents(out), expected)), differ
            shutil.rmtree(out)
            rounds += 1
    subprocess.run(slide(path, out, 128), check=True)
    cluster.kill(*cluster.parts)
    differ = differing(contents(out), expected)
    left = [f.name for f in out.rglob(".napari-hovernet-*")]
    print(
        f"killed {sum(killed.values())}: {killed}, in {rounds} slides; every file "
        f"equal{f' but {differ}' if differ else ''}; {len(left)} temporary files left",
        flush=True,
    )


def strike(name: str, run: psutil.Popen, cluster: Cluster) -> str:
    """Kill a part of a run; returns its kind."""
    if name in ("client", "run"):
        run.kill()
    elif name == "worker":
        for worker in run.children()[-1:]:  # none any more in the finish
            worker.kill()
    else:
        cluster.kill(name)
    return name.partition(" ")[0] + (" of dask" if name in cluster.parts else "")


def differing(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Name the files that are not the same in both."""
    return sorted(name for name in found | expected if found.get(name) != expected.get(name))


def contents(store: Path) -> dict[str, str]:
    """Hash all files of a store but those that tell of the run itself."""
    own = ("run.json", "summary.json", ".lock")
    files = [f for f in store.rglob("*") if f.is_file() and f.name not in own]
    return {
        str(f.relative_to(store)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in files
        if f.parent.name != "blocks" and not f.name.startswith(".napari-hovernet-")
    }


def real(folder: Path, options: argparse.Namespace) -> None:
    """Compare blocks with one piece on a real slide, with the built-in model."""
    from napari_hovernet.core.checkpoint import load_model  # noqa: PLC0415
    from napari_hovernet.core.inference import predict  # noqa: PLC0415
    from napari_hovernet.core.inference.tiles import (  # noqa: PLC0415
        scaled_separation,
        working_scale,
    )
    from napari_hovernet.core.params import InferenceParams, SeparationParams  # noqa: PLC0415
    from napari_hovernet.core.separation import separate  # noqa: PLC0415
    from napari_hovernet.core.slides.source import open_slide  # noqa: PLC0415
    from napari_hovernet.core.weights import DEFAULT  # noqa: PLC0415

    source, model = open_slide(options.path), load_model(DEFAULT, "cpu")
    params = InferenceParams(image_mpp=source.mpp, model_mpp=options.model_mpp)
    cut = scaled_separation(SeparationParams(), working_scale(model.info, params))
    expected = separate(predict(model, source, params), cut).labels
    more = [] if options.model_mpp is None else ["--model-mpp", str(options.model_mpp)]
    for block in options.blocks:
        out = folder / f"{block}.zarr"
        command = [*COMMAND, options.path, "-o", str(out), "--device", "cpu", "--mask", "off",
                   "--block", str(block), "-q", *more]  # fmt: skip
        figures = measured(command)
        same = np.array_equal(labels_of(out), expected)
        print(
            f"{options.path}, block {block}: {expected.max()} nuclei, every pixel "
            f"{'equal' if same else 'NOT EQUAL'}; {figures['cpu']:.0f} CPU s, peak "
            f"{figures['peak_gb']:.2f} GB",
            flush=True,
        )


def repeated(folder: Path, block: int, times: int) -> Path:
    """Make a finished store of one drawn block that is repeated: labels, maps, table, overviews."""
    from pyarrow import parquet  # noqa: PLC0415

    from napari_hovernet.core.params import InferenceParams, SeparationParams  # noqa: PLC0415
    from napari_hovernet.core.slides.blocks import Recipe  # noqa: PLC0415
    from napari_hovernet.core.slides.finish import QC  # noqa: PLC0415
    from napari_hovernet.core.slides.mask import TissueMask, cell_edge  # noqa: PLC0415
    from napari_hovernet.core.slides.params import SlideParams  # noqa: PLC0415
    from napari_hovernet.core.slides.source import TIFF, SlideSource  # noqa: PLC0415
    from napari_hovernet.core.slides.store import (  # noqa: PLC0415
        LAYERS,
        Run,
        SlideStore,
        create_store,
    )

    one = folder / "one.zarr"
    subprocess.run(slide(mosaic(folder / "one.ome.tif", block), one, block), check=True)
    source = SlideSource("gone.tif", TIFF, (block * times,) * 2, 0.25)
    recipe = Recipe(InferenceParams(), SeparationParams(), SlideParams(block=block))
    cells = np.ones((-(-block * times // cell_edge(0.25)),) * 2, bool)
    run = Run.of(source, recipe, drawn().stub().info, "stub")
    store = create_store(folder / "many.zarr", run, TissueMask(cells, cell_edge(0.25)))
    for name, layer in LAYERS.items():
        at = ("c", "0") if layer.channels else ("c",)
        for level in sorted((one / name).glob("[0-9]")):
            file = level.joinpath(*at, "0", "0")
            for i, j in np.ndindex(times, times):
                to = store.folder.joinpath(name, level.name, *at, str(i), str(j))
                if file.exists():
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, to)
    table = parquet.read_table(one / "nuclei.parquet", columns=["x", "y", "magnitude_mean"])
    with parquet.ParquetWriter(store.folder / "nuclei.parquet", table.schema) as writer:
        for i, j in np.ndindex(times, times):
            x, y = (table[n].to_numpy() + k * block for n, k in (("x", j), ("y", i)))
            writer.write_table(table.set_column(0, "x", [x]).set_column(1, "y", [y]))
    small, group = SlideStore(str(one)).group("r"), store.group()
    for name in QC:
        values = np.tile(small[f"qc/{name}/0"][:], (times, times))
        group.create_group(f"qc/{name}").create_array("0", data=values)
    (store.folder / "summary.json").write_text("{}")
    return store.folder


def pan(folder: Path, options: argparse.Namespace) -> None:
    """Measure opening, and steps of panning, in napari; needs a screen (xvfb-run)."""
    path = repeated(folder, options.blocks[0], options.times)
    before, start = psutil.Process().memory_info().rss, time.process_time()
    from qtpy.QtCore import QEventLoop, QTimer  # noqa: PLC0415

    import napari  # noqa: PLC0415
    from napari_hovernet._napari import slides as shown  # noqa: PLC0415
    from napari_hovernet._napari.viewer import camera_of  # noqa: PLC0415

    viewer = napari.Viewer()

    def settle(seconds: float) -> None:
        loop = QEventLoop()
        QTimer.singleShot(int(seconds * 1e3), loop.quit)
        loop.exec()

    viewer.open(str(path), plugin="napari-hovernet")
    settle(3)
    view = shown.follow(shown.bare_viewer(viewer), path)
    count = len(view._places)
    spent, more = time.process_time() - start, psutil.Process().memory_info().rss - before
    print(f"{count} nuclei: opening {spent:.1f} CPU s, + {more / 1e9:.2f} GB", flush=True)
    camera, edge = camera_of(viewer), options.blocks[0] * options.times * 0.25
    for share in options.shares:
        canvas = float(np.prod(shown.canvas_size(viewer))) ** 0.5
        wide = edge * (share * shown.MOST_POINTS / count) ** 0.5  # of so many points in view
        camera.zoom = canvas / wide
        camera.center = (0, edge / 3, edge / 3)
        settle(3)
        costs: dict[bool, list[float]] = {True: [], False: []}
        for step in range(40):
            ready, start = view._ready, time.process_time()
            camera.center = (0, edge / 3, edge / 3 + (step + 1) * wide / 10)
            settle(0.4)
            costs[view._ready is not ready].append(time.process_time() - start)
        told = [
            f"{what} {np.median(costs[kind]):.3f} (largest of {len(costs[kind])}: "
            f"{max(costs[kind]):.3f})"
            for kind, what in ((False, "step"), (True, "step with other points"))
            if costs[kind]
        ]
        points = len(view.layer("points").data)
        print(f"{points} points shown: CPU s of a {', of a '.join(told)}", flush=True)
    viewer.close()


def speedup(folder: Path, options: argparse.Namespace) -> None:
    """Compare workers with one, by the CPU seconds of the busiest: each has a core of its own."""
    path, spent = options.path or str(mosaic(folder / "slide.ome.tif", options.edge)), {}
    for workers in (1, 2):
        command = [*COMMAND, path, "-o", str(folder / f"{workers}.zarr"), "--device", "cpu",
                   "--mask", "off", "--block", str(options.blocks[0]), "-q", "--workers",
                   str(workers)]  # fmt: skip
        os.environ["SLURM_CPUS_PER_TASK"] = str(workers)  # a thread for each worker
        spent[workers] = measured(command)
        busy = ", ".join(f"{s:.1f}" for s in spent[workers]["workers"])
        print(f"{workers} worker(s): {busy} CPU s, the run {spent[workers]['own']:.1f}", flush=True)
    one, two = (max(spent[n]["workers"]) for n in (1, 2))
    all_of = [spent[n]["own"] + max(spent[n]["workers"]) for n in (1, 2)]
    same = np.array_equal(labels_of(folder / "1.zarr"), labels_of(folder / "2.zarr"))
    print(
        f"speed-up {one / two:.2f}, with start and finish of the run {all_of[0] / all_of[1]:.2f}; "
        f"labels {'equal' if same else 'NOT EQUAL'}",
        flush=True,
    )


def simulate(_: Path, options: argparse.Namespace) -> None:
    """Play a queue of slides, longest first, on workers; costs drawn around what was measured."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(20, 120, options.slides)
    cost = [np.sort(rng.lognormal(0, 0.4, n) * options.seconds)[::-1] for n in blocks]
    tasks = np.concatenate(sorted(cost, key=lambda c: -len(c)))
    for workers in options.workers_of:
        free = [0.0] * workers
        for seconds in tasks:
            heapq.heapreplace(free, free[0] + seconds + options.dispatch)
        took, ideal = max(free), tasks.sum() / workers
        print(
            f"{options.slides} slides, {len(tasks)} blocks, {workers} workers: {took / 3600:.1f} h "
            f"({ideal / took:.1%} of the ideal)",
            flush=True,
        )


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "what", choices=("equal", "grow", "kill", "pan", "real", "simulate", "speedup")
    )
    parser.add_argument("path", nargs="?", default="")
    parser.add_argument("--edge", type=int, default=4000)
    parser.add_argument("--edges", type=int, nargs="+", default=[1000, 3000, 10_000])
    parser.add_argument("--blocks", type=int, nargs="+", default=[1024])
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--most", type=float, default=3.0, help="seconds before a kill")
    parser.add_argument("--model-mpp", type=float)
    parser.add_argument("--times", type=int, default=7, help="a block is repeated along a side")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.25, 0.9],
                        help="of the most points, in view")  # fmt: skip
    parser.add_argument("--slides", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=40.0, help="of a block")
    parser.add_argument("--dispatch", type=float, default=0.01, help="seconds to hand one out")
    parser.add_argument("--workers-of", type=int, nargs="+", default=[1, 32, 128])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="slides-"))
    try:
        globals()[options.what](folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
