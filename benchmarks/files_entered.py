"""How many files of the package one has to know to follow a thing from end to end.

    python benchmarks/files_entered.py                 # all counts, with lists
    python benchmarks/files_entered.py --what segment  # or: lambda, or: run

``segment``: files of which any code runs (importing counts) when the command line segments a
small image; behind it those of which a function is called. ``lambda``: files whose functions
hold the value of ``--lambda-magnitude``, by itself or in what they hold, on its way from the
command line to the loss: a run is prepared, then its process begins, until the loss is called
for the first time. ``run``: the same to the end of the run, its checkpoints and report. Told by
``sys.setprofile`` in this process; apart from public names no module is named here.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import napari_hovernet as nh
from napari_hovernet.cli import main as command_line

PACKAGE = Path(nh.__file__).resolve().parent
FILES = PACKAGE.parents[1] / "tests" / "contract" / "files"
"""Generated tissue and a tiny network."""
GOALS = {"segment": "30 (72 in 0.1.0)", "lambda": "8 (15 in 0.1.0)", "run": "none (24 in 0.1.0)"}
VALUE = 3.0625
"""Of the weight; no other number of a run is this one."""
DEPTH = 6
"""Steps from a name to a value in what it holds: options, configuration, its part ..."""

OnFrame = Callable[[FrameType], None]


class Arrived(BaseException):
    """The value has reached the loss."""


class Watch:
    """Calls something with every frame of the package that is entered or left."""

    def __init__(self, on_frame: OnFrame) -> None:
        self._on_frame = on_frame

    def look(self, frame: FrameType, event: str, _: Any) -> None:
        """Look at what the interpreter tells."""
        code = frame.f_code
        if event in ("call", "return") and file_of(code):
            self._on_frame(frame)

    def __enter__(self) -> Watch:
        threading.setprofile(self.look)
        sys.setprofile(self.look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)


def file_of(code: CodeType) -> str:
    """Path below the package, "" if it lies elsewhere."""
    name = code.co_filename
    top = f"{PACKAGE}/"
    return name[len(top) :] if name.startswith(top) else ""


def run(argv: Iterable[object], status: int = 0) -> None:
    """Run a command line that says nothing here."""
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        found = command_line([str(a) for a in argv])
    if found != status:
        raise SystemExit(quiet.getvalue())


def segment(folder: Path) -> tuple[set[str], set[str]]:
    """Files of which any code ran, and of which a function was called, for a small image."""
    ran, called = set(), set()

    def look(frame: FrameType) -> None:
        ran.add(file_of(frame.f_code))
        if is_function(frame.f_code):
            called.add(file_of(frame.f_code))

    image = FILES / "pairs" / "images" / "t3.png"
    with Watch(look):
        run(("segment", image, "-o", folder / "out", "--device", "cpu"))
    return ran, called


def is_function(code: CodeType) -> bool:
    """Whether code is neither that of a module nor that of a class."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def holds(value: Any, depth: int = DEPTH) -> bool:
    """Whether a value is the weight, or has it somewhere in it."""
    if isinstance(value, float):
        return value == VALUE
    if isinstance(value, str):
        return str(VALUE) in value
    if depth == 0:
        return False
    if isinstance(value, dict):
        return any(holds(v, depth - 1) for v in list(value.values()))
    if isinstance(value, list | tuple):
        return any(holds(v, depth - 1) for v in list(value))
    own = type(value).__module__.startswith(nh.__name__) or isinstance(value, argparse.Namespace)
    return own and any(holds(v, depth - 1) for v in list(getattr(value, "__dict__", {}).values()))


def way_of_lambda(folder: Path, goal: CodeType | None) -> set[str]:
    """Files that hold the weight until a function is called, or to the end of a run."""
    held: set[str] = set()

    def look(frame: FrameType) -> None:
        name = file_of(frame.f_code)
        fresh = name not in held and is_function(frame.f_code)
        if fresh and any(holds(v) for v in list(frame.f_locals.values())):
            held.add(name)
        if frame.f_code is goal:
            raise Arrived

    given = ("--data", FILES / "pairs", "--start", FILES / "models" / "tiny.safetensors")
    small = ("--epochs", 1, "--steps-per-epoch", 1, "--batch", 1, "--crop", 64, "--device", "cpu")
    where = ("--runs-dir", folder, "--name", "way", "--prepare")
    with Watch(look):
        run(("train", *given, *small, *where, "--lambda-magnitude", VALUE))
    with contextlib.suppress(Arrived), Watch(look):
        run(("train", "--run", folder / "way", "--now"))
    return held


def count(name: str, folder: Path) -> None:
    """Count one thing and print what was found."""
    if name == "segment":
        found, called = segment(folder)
        print(f"segment: {len(found)} files run, {len(called)} of them in a function;", end=" ")
    else:
        found = way_of_lambda(folder, nh.HoverLoss.forward.__code__ if name == "lambda" else None)
        print(f"{name}: {len(found)} files hold --lambda-magnitude;", end=" ")
    print(f"goal {GOALS[name]}")
    print("".join(f"    {file}\n" for file in sorted(found)))


def main() -> None:
    """Count, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--what", choices=("all", *GOALS), default="all")
    what = parser.parse_args().what
    if what != "all":
        with tempfile.TemporaryDirectory(prefix="files-entered-") as folder:
            count(what, Path(folder))
        return
    for name in GOALS:  # each in a process of its own: what is imported is not run again
        subprocess.run([sys.executable, __file__, "--what", name], check=True)
    files = [p for p in PACKAGE.rglob("*.py") if "lambda_magnitude" in p.read_text("utf-8")]
    print(f"lambda_magnitude is written in {len(files)} files:")
    print("".join(f"    {p.relative_to(PACKAGE).as_posix()}\n" for p in sorted(files)))


if __name__ == "__main__":
    main()
