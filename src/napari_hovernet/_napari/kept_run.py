"""A run of its own made of tuned nuclei: measured, titled, with its layers."""

from __future__ import annotations

from dataclasses import replace

from napari.layers import Layer

from ..app.jobs import Steps
from ..app.session import Run
from ..app.tuning import Tuned
from .images import METADATA_KEY
from .layers import make_layer, make_layers
from .preferences import Preferences
from .run_layers import layer_specs


def kept_run_steps(
    run: Run, tuned: Tuned, number: int, title: str, wanted: Preferences
) -> Steps[tuple[Run, tuple[Layer, ...]]]:
    """Measure, make the run and its layers; touches no viewer."""
    from ..app.segment import run_metadata  # noqa: PLC0415 - imports torch
    from ..app.tuning import kept_steps  # noqa: PLC0415
    from ..core.io.files import params_as_dict  # noqa: PLC0415

    result = yield from kept_steps(run.result, tuned)
    about = {
        **run_metadata(result),
        **{k: run.metadata[k] for k in ("image", "device") if k in run.metadata},
        "tuned": {"from": run.title, **params_as_dict(tuned.params)},
    }
    kept = Run(number, title, run.image, result, run.placement, about)
    if tuned.params.hv.plain:  # the maps are those of the run it came from
        return kept, (make_layer(layer_specs(kept, wanted)[-1], wanted),)
    return kept, make_layers(kept, wanted)


def renumbered(run: Run, layers: tuple[Layer, ...], number: int) -> tuple[Run, tuple[Layer, ...]]:
    """Give a run and its layers another id: another run may have come in the meantime."""
    for layer in layers:
        layer.metadata[METADATA_KEY]["run"] = number
    return replace(run, id=number), layers


def unused_title(title: str, taken: list[str]) -> str:
    """Return the title, with a number if it is taken.

    Examples
    --------
    >>> unused_title("a tuned", ["a tuned"])
    'a tuned 2'
    """
    number, found = 1, title
    while found in taken:
        number += 1
        found = f"{title} {number}"
    return found
