"""An image through a network: tiles in, maps out."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import InputError, JobFailed, UserError
from ..hv import HVConvention
from ..networks.registry import Geometry
from ..params import InferenceParams
from ..types import Maps, Model, Progress
from . import devices
from .devices import free_memory
from .images import ImageSource, as_source
from .lane import Canvas, Lane, PlainCanvas, ResizedCanvas, Timings, back_reach, bytes_needed
from .tiles import Load, ResampledSource, Tile, choose_load, plan, working_scale


def predict(
    model: Model,
    image: Any,
    params: InferenceParams | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Maps:
    """Predict NP, HV and type maps of an image.

    Parameters
    ----------
    model : Model
        As :func:`napari_hovernet.load_model` gives it.
    image : array-like or ImageSource
        (H, W, 3) RGB of any size from 1 x 1; see ``as_source``.
    params : InferenceParams, optional
    progress : callable, optional
        Called with a :class:`Progress` after every batch of tiles.

    Returns
    -------
    Maps
        Of the image's height and width: NP probability, HV as [H, V] outward, and type
        probabilities where the model has types; float32.

    Raises
    ------
    InputError
        If the image cannot be used, or its mpp and the model's are not of one kind.
    DeviceError
        If the device cannot compute in the precision asked for.
    JobFailed
        If memory does not suffice even for the smallest tile, or torch fails.

    Examples
    --------
    >>> import numpy, torch
    >>> from napari_hovernet.core.types import Model, ModelInfo
    >>> from napari_hovernet.core.networks.registry import build
    >>> network = build("compact", {"widths": [4, 8]}).eval()
    >>> model = Model(network, ModelInfo("compact"), torch.device("cpu"))
    >>> predict(model, numpy.zeros((5, 7, 3), numpy.uint8)).shape
    (5, 7)
    """
    steps = predict_steps(model, image, params)
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            maps: Maps = stop.value
            return maps
        if progress is not None:
            progress(step)


def predict_steps(
    model: Model,
    image: Any,
    params: InferenceParams | None = None,
    timings: Timings | None = None,
) -> Generator[Progress, None, Maps]:
    """Predict as :func:`predict`, step by step.

    Yields a :class:`Progress` for each thing to tell and after every batch of tiles. Closing the
    generator cancels: what is queued is dropped and the device's memory freed.
    """
    params = InferenceParams() if params is None else params
    timings = Timings() if timings is None else timings
    started = time.perf_counter()
    try:
        with _failures_named(model):
            run = _prepare(model, image, params, timings)
            for notice in run.notices:
                yield Progress(0, 0, "preparing", notice)
            yield from _tiles(run)
            return _finished(run)
    finally:
        timings.total += time.perf_counter() - started
        devices.release(model.device)


@dataclass
class _Run:
    """One inference: what stays the same, and what is left to do."""

    source: ImageSource
    canvas: Canvas
    lane: Lane
    geometry: Geometry
    load: Load
    reference: bool
    precision: str
    device: torch.device
    timings: Timings
    notices: list[str]
    done_rows: int = 0

    def plan(self) -> tuple[Tile, ...]:
        """Return the tiles of the present load that reach below the rows done."""
        tiles = plan(self.source.shape, self.geometry, self.load.tile, self.reference)
        return tuple(tile for tile in tiles if tile.kept.r1 > self.done_rows)


def _prepare(model: Model, image: Any, params: InferenceParams, timings: Timings) -> _Run:
    network = model.network
    if network.accepts != "image":
        raise InputError(
            f"The {model.info.architecture} network takes cached {network.accepts} of a feature "
            "extractor, not an image; use the panel Token decoder (or evaluate --family), or "
            "choose a HoVer-Net or the built-in model."
        )
    source = as_source(image)
    scale = working_scale(model.info, params)
    precision = devices.choose_precision(model.device, params.precision)
    network.eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    n_types = int(network.config.get("n_types") or 0)
    _check_memory(source.shape, n_types)
    geometry, canvas = network.geometry, PlainCanvas(source.shape, n_types)
    notices = [*source.notes]
    if scale != 1.0:
        notices.append(_resize_notice(model, params, scale))
        full, source = source.shape, ResampledSource(source, scale)
        canvas = ResizedCanvas(full, n_types, scale, source.shape)
        geometry = replace(geometry, halo=geometry.halo + back_reach(scale))
    half = precision != "float32"
    load = choose_load(network, geometry, source.shape, params, model.device, half)
    convention = _convention(model)
    return _Run(
        source=source,
        canvas=canvas,
        lane=Lane(network, model.device, precision, convention, timings),
        geometry=geometry,
        load=load,
        reference=params.tiling == "reference",
        precision=precision,
        device=model.device,
        timings=timings,
        notices=notices,
    )


def _tiles(run: _Run) -> Generator[Progress, None, None]:
    """Run all tiles; on lack of memory go on with a smaller load."""
    while True:
        try:
            yield from _pass(run)
            return
        except Exception as error:
            if not devices.is_out_of_memory(error):
                raise
        run.lane.clear()
        devices.release(run.device)
        yield Progress(0, 0, "out of memory", _shrink(run))


def _pass(run: _Run) -> Generator[Progress, None, None]:
    """Run the tiles that are left, telling of each batch."""
    tiles = run.plan()
    total, done = len(tiles), 0
    yield Progress(0, total, f"tile 0 of {total}")
    size = run.load.batch
    batches = iter([tiles[i : i + size] for i in range(0, total, size)])
    exhausted = False
    while not exhausted or run.lane.busy:
        batch = None if exhausted else next(batches, None)
        exhausted = batch is None
        if batch is not None:
            run.lane.send(run.source, batch)
        if run.lane.busy and (run.lane.full or exhausted):
            done += _collect(run)
            following = tiles[done].kept.r0 if done < total else run.source.shape[0]
            run.done_rows = max(run.done_rows, following)
            yield Progress(done, total, f"tile {done} of {total}")


def _collect(run: _Run) -> int:
    started = time.perf_counter()
    tiles, values = run.lane.collect()
    for tile, value in zip(tiles, values, strict=True):
        run.canvas.put(tile, value)
        run.timings.pixels += tile.kept.shape[0] * tile.kept.shape[1]
    run.timings.write += time.perf_counter() - started
    return len(tiles)


def _shrink(run: _Run) -> str:
    """Halve the batch or the tile of a run; return what to tell."""
    before, after = run.load, run.load.halved(run.geometry, run.reference)
    if after is None:
        raise JobFailed(
            f"Out of memory on {run.device} even with one tile of {before.tile[0]} x "
            f"{before.tile[1]} px at a time; close other programs that use it, or choose "
            "another device."
        )
    run.load = after
    return (
        f"Out of memory on {run.device}: going on with {after.batch} tile(s) of "
        f"{after.tile[0]} x {after.tile[1]} px at a time instead of {before.batch} of "
        f"{before.tile[0]} x {before.tile[1]}."
    )


def _finished(run: _Run) -> Maps:
    try:
        return run.canvas.maps()
    except InputError as error:
        if run.precision == "float32":
            raise JobFailed(f"The network's output cannot be used: {error}") from error
        raise JobFailed(
            f"The network's output in {run.precision} cannot be used ({error}); "
            "choose the precision float32."
        ) from error


def _resize_notice(model: Model, params: InferenceParams, scale: float) -> str:
    model_mpp = model.info.mpp if params.model_mpp is None else params.model_mpp
    return (
        f"The image has {params.image_mpp:g} µm per pixel, the model {model_mpp:g}: resized "
        f"{scale:.3g}x for the network, and the maps back (HV by nearest pixel, so that it "
        "keeps its jumps between nuclei)."
    )


def _convention(model: Model) -> HVConvention:
    """Return the HV convention of a model's raw output; order and sign are put right."""
    return HVConvention.preset(model.info.hv_convention)


def _check_memory(shape: tuple[int, int], n_types: int) -> None:
    needed, free = bytes_needed(shape, n_types), free_memory()
    if needed > free:
        raise InputError(
            f"The maps of {shape[0]} x {shape[1]} px need {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB of memory are free; run on a region at a time."
        )


@contextmanager
def _failures_named(model: Model) -> Iterator[None]:
    """Turn what torch and the system raise into :class:`JobFailed`."""
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise JobFailed(
            f"Out of memory: {error}; run on a region, or close other programs."
        ) from error
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise JobFailed(
            f"The {model.info.architecture} network failed on {model.device} "
            f"({type(error).__name__}): {first}"
        ) from error
