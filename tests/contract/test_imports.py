"""What is loaded: next to nothing with the package and for ``--help``, no window for a run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WINDOWS = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide6", "vispy", "magicgui", "superqt",
           "pyqtgraph", "psygnal", "matplotlib"}  # fmt: skip
HEAVY = {"torch", "lightning", "numba", "cv2", "scipy", "skimage", "tifffile", "jinja2"}
SEGMENT = {"PIL", "cv2", "imagecodecs", "numba", "numpy", "safetensors", "scipy", "tifffile",
           "torch", "tqdm"}  # fmt: skip
"""Libraries that ``segment`` takes."""
LIBRARIES = WINDOWS | HEAVY | SEGMENT | {"platformdirs", "timm", "dask", "pandas", "pydantic"}
CODE = """
import contextlib, io, json, sys
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    {code}
print(json.dumps(sorted(sys.modules)))
"""


def modules_after(code: str) -> set[str]:
    """Modules loaded in a fresh interpreter that ran a line of code."""
    command = [sys.executable, "-c", CODE.format(code=code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    "code",
    [
        "import napari_hovernet",
        "from napari_hovernet.cli import main; main(['--help'])",
        "from napari_hovernet.cli import main; main(['train', '--help'])",
        "from napari_hovernet.cli import main; main(['segment'])",
    ],
    ids=["package", "help", "help of train", "bad usage"],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    loaded = tops(modules_after(code))
    assert "napari_hovernet" in loaded and not loaded & (HEAVY | WINDOWS)


@pytest.fixture(scope="module")
def after_segment(files: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    image, out = files / "pairs" / "images" / "t1.png", tmp_path_factory.mktemp("out")
    model = files / "models" / "tiny.safetensors"
    argv = ["segment", str(image), "-o", str(out), "--model", str(model), "-q", "--device", "cpu"]
    found = modules_after(f"from napari_hovernet.cli import main; assert main({argv!r}) == 0")
    assert (out / "t1.geojson").is_file()
    return found


def test_segment_loads_what_it_needs_and_not_the_compiler_of_torch(after_segment) -> None:
    assert tops(after_segment) & LIBRARIES <= SEGMENT
    assert not {"torch._dynamo", "triton", "sympy", "skimage", "scipy.ndimage"} & after_segment
