"""Wheel, sdist and editable install: each carries the manifest, the weights, the command.

Nothing is downloaded: the builds run with the hatchling at hand, and a built wheel is
tried by unpacking it in front of everything else on the path of a fresh interpreter.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("hatchling", reason="needs hatchling: pip install 'napari-hovernet[test]'")
PACKAGE = "napari_hovernet"
WEIGHTS = f"{PACKAGE}/core/weights/compact.safetensors"
CARD = f"{PACKAGE}/core/weights/MODEL_CARD.md"
SOURCES = ("src", "napari.yaml", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
MEBI = 2**20

# Prints where the manifest was found, its name, and the commands that cannot be imported.
TRY_MANIFEST = """
import json, sys
from npe2 import PluginManifest
import napari_hovernet
manifest = PluginManifest.from_distribution("napari-hovernet")
missing = []
if "--imports" in sys.argv:
    from npe2.manifest.utils import import_python_name
    for command in manifest.contributions.commands or ():
        if command.python_name:
            import_python_name(command.python_name)
            missing.append(command.id)
print(json.dumps([napari_hovernet.__file__, manifest.name, manifest.package_version, missing]))
"""


def build(kind: str, source: Path, out: Path) -> Path:
    """Build "wheel", "sdist" or "editable" of ``source`` into ``out``; return the file."""
    out.mkdir(parents=True, exist_ok=True)
    code = f"import hatchling.build as b; print(b.build_{kind}({str(out)!r}))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return out / run.stdout.split()[-1]


def names(archive: Path) -> set[str]:
    """Files inside a wheel, or inside an sdist without its top folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return set(wheel.namelist())
    with tarfile.open(archive) as sdist:
        return {str(PurePosixPath(*PurePosixPath(n).parts[1:])) for n in sdist.getnames()}


def installed(wheel: Path, site: Path) -> Path:
    """Unpack ``wheel`` the way an installer would (it has no scripts of its own)."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    return site


def try_manifest(
    site: Path, *paths: Path, imports: bool = False
) -> tuple[Path, str, str, list[str]]:
    """Look the manifest up as napari does, with ``site`` and ``paths`` first on the path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (site, *paths)))}
    run = subprocess.run(
        [sys.executable, "-c", TRY_MANIFEST, *(["--imports"] if imports else [])],
        cwd=site, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    file, name, version, commands = json.loads(run.stdout.splitlines()[-1])
    return Path(file), name, version, commands


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", root, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", root, tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path, root: Path) -> None:
    held = names(wheel)
    assert {WEIGHTS, CARD, f"{PACKAGE}/napari.yaml", f"{PACKAGE}/py.typed"} <= held
    sources = {
        p.relative_to(root / "src").as_posix() for p in (root / "src" / PACKAGE).rglob("*.py")
    }
    assert sources <= held
    with zipfile.ZipFile(wheel) as file:
        assert file.read(f"{PACKAGE}/napari.yaml") == (root / "napari.yaml").read_bytes()
        assert file.getinfo(WEIGHTS).file_size < 8 * MEBI
    tops = {PurePosixPath(name).parts[0] for name in names(wheel)}
    assert {t for t in tops if not t.endswith(".dist-info")} == {PACKAGE}
    assert not {name for name in names(wheel) if "__pycache__" in name}
    assert wheel.stat().st_size < 12 * MEBI
    with zipfile.ZipFile(wheel) as file:
        info = {PurePosixPath(n).name: n for n in file.namelist() if ".dist-info/" in n}
        entry_points = file.read(info["entry_points.txt"]).decode()
        metadata = Parser().parsestr(file.read(info["METADATA"]).decode())
    assert "napari-hovernet = napari_hovernet.cli:main" in entry_points
    assert "napari-hovernet = napari_hovernet:napari.yaml" in entry_points
    assert metadata["License-Expression"] == "BSD-3-Clause AND CC-BY-NC-SA-4.0 AND Apache-2.0"
    assert "Framework :: napari" in metadata.get_all("Classifier", [])


def test_napari_finds_the_manifest_in_a_wheel(wheel: Path, tmp_path: Path) -> None:
    site = installed(wheel, tmp_path / "site")
    file, name, version, commands = try_manifest(site, imports=True)
    assert file.is_relative_to(site) and name == "napari-hovernet"
    assert f"-{version}-" in wheel.name and commands


def test_the_sdist_holds_source_and_no_data_and_builds_the_same_wheel(sdist, wheel, tmp_path):
    made = "tests/contract/files/"  # files of an earlier version, generated tissue alone
    held = {n for n in names(sdist) if not n.startswith(made)}
    assert {"napari.yaml", "hatch_build.py", "pyproject.toml", "LICENSE", "README.md"} <= held
    assert f"src/{WEIGHTS}" in held and f"src/{PACKAGE}/napari.yaml" not in held
    pictures = {n for n in held if PurePosixPath(n).suffix in {".png", ".jpg", ".tif", ".tiff"}}
    assert all(n.startswith("docs/images/") for n in pictures)
    assert not {n for n in held if PurePosixPath(n).suffix in {".npz", ".npy", ".mat"}}
    assert not {n for n in held if "shared" in PurePosixPath(n).parts}
    with tarfile.open(sdist) as file:
        file.extractall(tmp_path, filter="data")
    again = build("wheel", next(tmp_path.glob("napari_hovernet-*")), tmp_path / "out")
    assert names(again) == names(wheel)
    file, name, _, _ = try_manifest(installed(again, tmp_path / "site"))
    assert file.is_relative_to(tmp_path / "site") and name == "napari-hovernet"


def test_an_editable_install_finds_the_manifest_and_follows_its_edits(root, tmp_path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy
        copy(root / name, clone / name)
    (clone / "src" / PACKAGE / "napari.yaml").unlink(missing_ok=True)

    site = installed(build("editable", clone, tmp_path / "out"), tmp_path / "site")
    paths = [Path(p.read_text().strip()) for p in site.glob("*.pth")]
    file, name, _, _ = try_manifest(site, *paths)

    assert (paths, file) == ([clone / "src"], clone / "src" / PACKAGE / "__init__.py")
    assert name == "napari-hovernet"
    placed = clone / "src" / PACKAGE / "napari.yaml"
    with (clone / "napari.yaml").open("a") as manifest:
        manifest.write("# edited\n")
    if placed.is_symlink():
        assert placed.read_text().endswith("# edited\n")
    build("editable", clone, tmp_path / "again")
    assert placed.read_bytes() == (clone / "napari.yaml").read_bytes()
