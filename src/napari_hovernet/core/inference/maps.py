"""An image through a network: tiles in, maps out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakSet

import torch

from ...errors import InputError, JobFailed, UserError, is_out_of_memory, plain
from ..hv import HVConvention
from ..limits import freed_memory_kept
from ..networks.blocks import folded
from ..networks.registry import Network
from ..params import InferenceParams
from ..types import Maps, Model, Progress, driven
from . import devices
from .images import ResampledSource, as_source
from .lane import VIEW_TURNS, Canvas, Lane, Timings, back_reach
from .tiles import Box, choose_load, plan, plan_part, working_scale

_COMPILED: WeakSet[Network] = WeakSet()
"""Networks whose compiled form has run in this process."""
WINDOWS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
"""Modules of which one is loaded where a program has windows."""


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
        probabilities where the model has types; float32. With ``streamed="on"`` NP comes in steps
        of 1/255, HV of float16, and the likeliest type of a pixel has all the probability.

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
    params = (params or InferenceParams()).for_maps()
    return driven(predict_steps(model, image, params), progress)


def predict_steps(
    model: Model,
    image: Any,
    params: InferenceParams | None = None,
    timings: Timings | None = None,
    box: Box | None = None,
) -> Generator[Progress, None, Maps]:
    """Predict as :func:`predict`, step by step.

    Yields a :class:`Progress` for each thing to tell and after every batch of tiles. Closing the
    generator cancels: what is queued is dropped and the device's memory freed. With ``box`` the
    maps are those of this part, as a run over the whole image gives them.
    """
    timings = Timings() if timings is None else timings
    started = time.perf_counter()
    try:
        with _failures_named(model), freed_memory_kept():
            run = _Run(model, image, params or InferenceParams(), timings, box)
            for notice in run.notices:
                yield Progress(0, 0, "preparing", notice)
            if (params or InferenceParams()).compiled == "on":
                said = "" if run.network in _COMPILED else "the network is being compiled once"
                yield Progress(0, 0, "compiling the network", said)
                yield Progress(0, 0, "preparing", run.compile())
            while True:
                try:
                    yield from run.tiles()
                    break
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                yield Progress(0, 0, "out of memory", run.shrink())
            return run.maps()
    finally:
        timings.total += time.perf_counter() - started
        devices.release(model.device)


class _Run:
    """One inference: what stays the same, and what is left to do."""

    def __init__(
        self,
        model: Model,
        image: Any,
        params: InferenceParams,
        timings: Timings,
        box: Box | None = None,
    ) -> None:
        network, self.device, self.timings = model.network, model.device, timings
        if network.one_tile:
            params = replace(params, tiling="reference", tile=None)
        if network.accepts != "image":
            raise InputError(
                f"The {model.info.architecture} network takes cached {network.accepts} of a "
                "feature extractor, not an image; use Why? > Files in napari (or evaluate "
                "--family), or choose a HoVer-Net or the built-in model."
            )
        self.source, scale = as_source(image), working_scale(model.info, params)
        self.notices = [*self.source.notes]
        self.precision = devices.choose_precision(self.device, params.precision)
        network.eval()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network, network = network, folded(network)
        n_types = int(network.config.get("n_types") or 0)
        self.canvas = Canvas(self.source.shape, n_types, scale, box)
        self.geometry = network.geometry
        if params.image_mpp is None and (mpp := params.model_mpp or model.info.mpp):
            self.notices.append(f"resolution not known, taken as the model's {mpp:g} µm per pixel")
        if scale != 1.0:
            self.notices.append(_resize_notice(model, params, scale))
            self.source = ResampledSource(self.source, scale)
            self.geometry = replace(self.geometry, halo=self.geometry.halo + back_reach(scale))
        self.box = None if box is None else Box(*(int(edge * scale) for edge in box))
        shape = self.source.shape if self.box is None else self.box.shape
        self.load = choose_load(
            network, self.geometry, shape, params, self.device,
            half=self.precision != "float32",
        )  # fmt: skip
        convention = HVConvention.preset(model.info.hv_convention)
        auto = params.streamed == "auto" and devices.pins_memory(self.device)
        streamed = auto or params.streamed == "on"
        self.lane = Lane(network, self.device, self.precision, convention, timings, streamed)
        self.reference, self.views = params.tiling == "reference", VIEW_TURNS[params.views]
        self.done_rows = 0

    def compile(self) -> str:
        """Let the network be compiled for the tiles at hand; return what to tell, or ""."""
        if windows := [name for name in WINDOWS if name in sys.modules]:
            return (
                f"Not compiled: this program has windows ({windows[0]}), whose graphics and the "
                "compiler's libraries can crash each other; use the command line."
            )
        try:
            compiled = torch.compile(self.network)  # as it was loaded, so that it is known again
            known = self.network in _COMPILED
            self.lane.change(compiled, None if known else (self.load.batch, *self.load.tile, 3))
            _COMPILED.add(self.network)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            first = plain(str(error).partition("\n")[0], 120)
            return (
                f"The network could not be compiled and runs as it is ({type(error).__name__}: "
                f"{first}); see that a C++ compiler, and on a GPU Triton, is there."
            )
        return ""

    def tiles(self) -> Generator[Progress, None, None]:
        """Run the tiles that reach below the rows done, telling of each batch."""
        shape, geometry, edges = self.source.shape, self.geometry, self.load.tile
        if self.box is None:
            tiles = plan(shape, geometry, edges, self.reference)
        else:
            tiles = plan_part(shape, geometry, edges, self.box, self.reference)
        tiles = tuple(tile for tile in tiles if tile.kept.r1 > self.done_rows)
        total, done, size = len(tiles), 0, self.load.batch
        yield Progress(0, total, f"tile 0 of {total}")
        cut = [tiles[i : i + size] for i in range(0, total, size)]
        batches = self.lane.read(self.source, cut)
        batch = next(batches, None)
        while batch is not None or self.lane.busy:
            if batch is not None:
                self.lane.open(*batch)
                for number, view in enumerate(self.views, start=1):
                    if number > 1:
                        said = f"tile {done} of {total}, view {number} of {len(self.views)}"
                        yield Progress(done, total, said)
                    self.lane.run(view)
                self.lane.queue()
                batch = next(batches, None)
            if self.lane.full or batch is None:
                done += self._collect()
                following = tiles[done].kept.r0 if done < total else self.source.shape[0]
                self.done_rows = max(self.done_rows, following)
                yield Progress(done, total, f"tile {done} of {total}")

    def _collect(self) -> int:
        started = time.perf_counter()
        tiles, values = self.lane.collect()
        for tile, value in zip(tiles, values, strict=True):
            self.canvas.put(tile, value)
            self.timings.pixels += tile.kept.shape[0] * tile.kept.shape[1]
        self.timings.write += time.perf_counter() - started
        return len(tiles)

    def shrink(self) -> str:
        """Free memory and halve the batch or the tile; return what to tell."""
        self.lane.clear()
        devices.release(self.device)
        before, after = self.load, self.load.halved(self.geometry, self.reference)
        if after is None:
            raise JobFailed(
                f"Out of memory on {self.device} even with one tile of {before.tile[0]} x "
                f"{before.tile[1]} px at a time; close other programs that use it, or choose "
                "another device."
            )
        self.load = after
        return (
            f"Out of memory on {self.device}: going on with {after.batch} tile(s) of "
            f"{after.tile[0]} x {after.tile[1]} px at a time instead of {before.batch} of "
            f"{before.tile[0]} x {before.tile[1]}."
        )

    def maps(self) -> Maps:
        """Return the finished maps; blame the precision where they cannot be used."""
        try:
            return self.canvas.maps()
        except InputError as error:
            remedy = "" if self.precision == "float32" else "; choose the precision float32"
            raise JobFailed(
                f"The network's output in {self.precision} cannot be used ({error}){remedy}."
            ) from error


def _resize_notice(model: Model, params: InferenceParams, scale: float) -> str:
    model_mpp = model.info.mpp if params.model_mpp is None else params.model_mpp
    return (
        f"The image has {params.image_mpp:g} µm per pixel, the model {model_mpp:g}: resized "
        f"{scale:.3g}x for the network, and the maps back (HV by nearest pixel, so that it "
        "keeps its jumps between nuclei)."
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
