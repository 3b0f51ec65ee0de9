"""``napari-hovernet slide``: whole slides in, a store of nuclei and maps out."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..app.jobs import drive
from ..app.slide_runs import read_job
from ..app.slides import SlideJob, lines_of, slide_steps, watch_steps
from ..core.io.far import place
from ..core.limits import freed_memory_kept
from ..core.params import InferenceParams, SeparationParams
from ..core.slides.finish import export_geojson
from ..core.slides.params import SlideParams, WorkParams
from ..core.slides.store import SlideStore
from ..errors import InputError
from .console import ProgressBar, params_of, say, say_list


@freed_memory_kept()
def run(options: Namespace) -> int:
    """Segment slides; 0 if all went well, 1 if something failed."""
    if not options.output and (options.attach or not options.job):
        raise InputError("Give where the result goes: -o OUT.zarr.")
    if options.attach:
        with ProgressBar(place(options.output).name, quiet=options.quiet, unit="block") as bar:
            for step in watch_steps(options.output):
                bar(step)
        return 0
    if not (options.job or options.slides):
        raise InputError("Give one slide or more.")
    job = read_job(Path(options.job)) if options.job else _job(options)
    name = Path(job.slides[0]).name if len(job.slides) == 1 else "slides"
    with ProgressBar(name, quiet=options.quiet, unit="block") as bar:
        outcomes = drive(slide_steps(job), bar)
    failed = [f"{o.slide}, {line}" for o in outcomes for line in o.failed]
    for outcome in outcomes:
        if options.geojson and outcome.summary:
            store = place(outcome.store)
            export_geojson(SlideStore(outcome.store), store.with_suffix(".geojson.gz"))
    if not options.quiet:
        for line in lines_of(outcomes):
            say(line)
    if failed:
        say_list(f"{len(failed)} failed; the same command tries them again", failed)
    return 1 if failed else 0


def _job(options: Namespace) -> SlideJob:
    return SlideJob(
        tuple(options.slides),
        options.output,
        options.model,
        options.device,
        inference=params_of(options, InferenceParams()),
        separation=params_of(options, SeparationParams.preset(options.preset)),
        slide_params=params_of(options, SlideParams()),
        work=params_of(options, WorkParams()),
        types=str(options.types or ""),
    )
