"""``napari-hovernet tokens``: images in, the features of a frozen ViT out."""

from __future__ import annotations

from argparse import Namespace

from ..app.jobs import drive
from ..app.tokens import cache_steps, find_pictures
from ..core.tokens.backbone import BackboneParams, load_backbone
from ..errors import OutputError
from .console import ProgressBar, complain, say


def run(options: Namespace) -> int:
    """Compute and write the tokens; returns the exit status."""
    if options.output.exists() and not options.overwrite:
        raise OutputError(f"{options.output} is there already; give --overwrite or another name.")
    pictures = find_pictures(options.images)
    colours = {k: tuple(v) for k in ("mean", "std") if (v := getattr(options, k)) is not None}
    params = BackboneParams(options.size, batch=options.batch, layer=options.layer, **colours)
    backbone = load_backbone(options.backbone, options.device, params, options.weights)
    with ProgressBar("tokens", quiet=options.quiet, unit="image") as bar:
        made = drive(cache_steps(pictures, backbone, options.output), bar)
    n, count, length = made.shape
    say(
        f"{n} images -> {', '.join(map(str, made.files))}: {count} tokens of {length} each, "
        f"{made.prefix} of them before the patches"
    )
    for note in made.notes if not options.quiet else ():
        complain(f"note: {note}")
    return 0
