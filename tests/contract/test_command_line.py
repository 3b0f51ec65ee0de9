"""Commands, options and defaults (``command_surface.txt``), and each command run for real.

Renew the surface with ``RENEW_SURFACES=1``, see ``test_python.py``. Known to change on purpose:
``--lambda-gradient`` 1 becomes 3 and ``--lambda-magnitude`` 1 becomes 5, as in Python.
"""

import argparse
import csv
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMANDS = ("segment", "slide", "evaluate", "magnitude", "diagnose", "tokens", "train", "runs",
            "attach", "stop", "info", "export", "devices", "check-loss", "demo")  # fmt: skip
IN_HELP = re.compile(r"default:? (?P<value>[^;]+)$")
ENDINGS = ("t3.csv", "t3.geojson", "t3.json", "t3.mat", "t3_labels.tif")
LEFT_S = 60.0


def the_parser(run: Any, command: str) -> argparse.ArgumentParser:
    """The parser of the command line, caught where it begins to parse a command."""
    caught: list[argparse.ArgumentParser] = []

    def catch(parser: argparse.ArgumentParser, *_: object) -> None:
        caught.append(parser)
        raise SystemExit(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", catch)
        run(command)
    return caught[0]


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def described(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """One option: names, what it takes, its default or what the help says of it."""
    names = " ".join(action.option_strings) or "argument"
    takes = parser._get_formatter()._format_args(action, (action.dest or "").upper())
    hidden = action.help == argparse.SUPPRESS
    said = None if hidden else IN_HELP.search((action.help or "") % vars(action))
    parts = [names, takes if action.nargs != 0 else ""]
    parts += ["required"] * (action.required and bool(action.option_strings))
    parts += ["hidden"] * hidden
    if action.default not in (None, False, argparse.SUPPRESS):
        parts.append(f"= {action.default!r}")
    elif said is not None and (action.nargs != 0 or "--no-" in names):
        parts.append(f"= {said['value']} (in its help)")
    return " ".join(filter(None, parts))


def surface(run: Any) -> Iterator[str]:
    for name in sorted(COMMANDS):  # each has its options only when it is the one that was named
        command = commands_of(the_parser(run, name))[name]
        yield f"{name}"
        yield from (f"    {described(command, a)}" for a in command._actions if a.dest != "help")
        for group in command._mutually_exclusive_groups:
            yield f"    one of: {', '.join(a.option_strings[0] for a in group._group_actions)}"
        yield ""


def test_commands_options_and_defaults_are_those_users_know(run, same_surface) -> None:
    assert set(commands_of(the_parser(run, "devices"))) == set(COMMANDS)
    same_surface("command_surface.txt", "\n".join(surface(run)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Any, name: str) -> None:
    said = run(name, "--help")
    assert said.status == 0 and f"usage: napari-hovernet {name}" in said.out
    assert not said.err and name in run("--help").out


def test_the_version_is_told_and_devices_lists_the_processor(run) -> None:
    said = run("--version")
    assert (said.status, said.out.split()[0]) == (0, "napari-hovernet")
    said = run("devices")
    assert said.status == 0 and any(line.startswith("cpu ") for line in said.out.splitlines())
    listed = {entry["name"]: entry for entry in json.loads(run("devices", "--json").out)}
    assert listed["cpu"]["available"]
    assert set(listed["cpu"]) == {"name", "label", "free", "available", "reason"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "COMMAND"),
        (("nonsense",), "nonsense"),
        (("segment",), "IMAGE"),
        (("segment", "no.png", "-o", "out"), "no.png is not there; check the path"),
        (("info", "no.pth"), "There is no file no.pth"),
        (("info", "compact", "--nonsense"), "nonsense"),
        (("export", "compact", "model.zip"), "use .safetensors"),
        (("evaluate",), "Name the images"),
        (("evaluate", "--family", "skin"), "Name the token decoder"),
        (("evaluate", "--family", "skin", "--pred", "x"), "--pred is about images"),
        (("evaluate", "x", "-o", "y", "--seed", "1"), "--seed needs --family"),
        (("magnitude",), "Name the images"),
        (("magnitude", ".", "--token-prefix", "5"), "--token-prefix needs --family"),
        (("diagnose",), "There is nothing to diagnose"),
        (("diagnose", "--loss", "default", "--only", "luck"), "choose from data, model"),
        (("diagnose", "--data", "missing"), "missing is not there"),
        (("diagnose", "--model", "missing.pth"), "missing.pth is not there"),
        (("diagnose", "--loss", "mse"), "loss is 'mse'"),
        (("diagnose", "--separation", "cutter"), "cutter"),
        (("diagnose", "--separation", "no_such_module:cut"), "cannot be imported"),
        (("diagnose", "--model", "compact", "--n-samples", "0"), "number of samples is 0"),
        (("diagnose", "--model", "compact", "--device", "abacus"), "abacus"),
        (("train", "--epochs", "0"), "epochs is 0; give 1 or more"),
        (("train", "--lambda_magnitude", "-1", "--data", "."), "lambda_magnitude is -1"),
        (("train", "--resume"), "--resume needs the name of a run"),
        (("attach", "nobody"), "There is no run 'nobody'"),
        (("stop", "nobody"), "There is no run 'nobody'"),
        (("runs", "--remove", "nobody"), "There is no run 'nobody'"),
        (("demo", "--sample"), "--sample"),
    ],
)
def test_bad_usage_is_status_2_and_says_why(run, argv, words, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(*argv)
    assert (said.status, said.out) == (2, "")
    assert words in said.err and len(said.errors) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# --- images in, nuclei out ------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmented(run: Any, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A good image and a damaged one; where the results are, and what was said."""
    folder = tmp_path_factory.mktemp("segment")
    (folder / "in").mkdir()
    shutil.copy(files / "pairs" / "images" / "t3.png", folder / "in")
    (folder / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n, cut off")
    said = run(
        "segment", folder / "in", "-o", folder / "out", "--model", "compact", "--device", "cpu"
    )
    return folder, said


def test_segment_writes_every_format_counts_and_names_the_damaged_image(segmented) -> None:
    folder, said = segmented
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(ENDINGS)
    (line,) = said.out.splitlines()
    found = re.search(r"t3\.png: (\d) nuclei, mean magnitude (0\.\d\d), [\d.]+ s -> ", line)
    assert found
    n = int(found[1])
    assert 6 <= n <= 8 and 0.6 < float(found[2]) < 0.8
    assert all(name in line for name in ENDINGS)
    with (folder / "out" / "t3.csv").open() as file:
        assert len(list(csv.DictReader(file))) == n
    assert len(json.loads((folder / "out" / "t3.geojson").read_text())["features"]) == n
    assert "compact, trained at 0.25 µm per pixel, on cpu; licence" in said.err
    _, said = segmented
    assert said.status == 1 and "broken.png" in said.errors[0]
    assert "1 of 2 images failed:" in said.err


def test_results_are_replaced_only_when_told(run: Any, segmented: Any) -> None:
    folder, _ = segmented
    image, out = folder / "in" / "t3.png", folder / "out"
    said = run("segment", image, "-o", out)
    assert said.status == 2 and "Give --overwrite or --skip-existing" in said.err
    said = run("segment", image, "-o", out, "--skip-existing")
    assert (said.status, said.out) == (0, f"All 1 images have their results in {out}.\n")
    region = ("--region", 0, 0, 48, 64, "--formats", "csv", "-q", "--device", "cpu")
    said = run("segment", image, "-o", out, "--overwrite", *region)
    assert (said.status, said.out, said.err) == (0, "", "")


# --- model files ----------------------------------------------------------------------------


def test_info_export_and_back(run: Any, files: Path, tmp_path: Path) -> None:
    typed = files / "models" / "typed.safetensors"
    said = run("info", typed)
    assert said.status == 0
    for words in ("architecture   compact", "types          0 background", "mpp            0.25 µm",
                  "licence        CC0-1.0", "kind of file   napari-hovernet"):  # fmt: skip
        assert words in said.out
    about = json.loads(run("info", typed, "--json").out)
    assert (about["mpp"], about["config"]["widths"]) == (0.25, [4, 8])
    assert list(about["types"]) == ["0", "1", "2"]
    out = tmp_path / "copy.safetensors"
    said = run("export", typed, out)
    assert (said.status, said.out) == (0, f"{typed} -> {out}\n")
    again = json.loads(run("info", out, "--json").out)
    assert {k: again[k] for k in ("types", "config", "licence", "mpp", "parameters")} == {
        k: about[k] for k in ("types", "config", "licence", "mpp", "parameters")
    }
    refused = run("export", typed, out)
    assert refused.status == 2 and "is there already; give --overwrite" in refused.err
    assert run("export", typed, out, "--overwrite").status == 0


def test_tokens_says_what_it_needs(run: Any, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "x_features.npz"
    argv = ("tokens", files / "pairs" / "images", "-o", out, "--backbone", "no such backbone")
    said = run(*argv)
    assert (said.status, said.out) == (2, "")
    assert re.search(r"pip install 'napari-hovernet\[vit\]'|no such backbone", said.err)
    assert not out.exists()


# --- scores and causes ----------------------------------------------------------------------


def test_evaluate_scores_a_model_beside_the_base_rates(run, files, tmp_path) -> None:
    argv = ("evaluate", files / "pairs", "-o", tmp_path / "out", "--split", "val")
    said = run(*argv, "--model", "compact", "--device", "cpu")
    assert said.status == 0
    head, row = said.out.splitlines()[:2]
    assert head.split() == ["images", "AJI", "PQ", "Dice", "CC", "AJI", "oracle", "cosine",
                            "magnitude"]  # fmt: skip
    assert row.split()[:2] == ["all", "1"] and "true nuclei, " in said.out
    assert "Calling every pixel nucleus has Dice 0.7" in said.out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["evaluation.csv", "evaluation.html", "evaluation.json"]
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    means = found["means"]["all"]["scores"]
    assert means["aji"]["mean"] > 0.8 > means["cc_aji"]["mean"]
    assert means["oracle_aji"]["mean"] > 0.95
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "data:image/" in page and "<script src" not in page
    assert run(*argv).status == 2


def test_magnitude_tells_length_and_direction(run: Any, files: Path) -> None:
    argv = ("magnitude", files / "pairs" / "images" / "t3.png", "--device", "cpu")
    labels = ("--labels", files / "pairs" / "labels")
    said = run(*argv, *labels, "--model", "compact")
    assert (said.status, said.out.splitlines()[1].split()[:2]) == (0, ["t3", "true"])
    assert re.search(r"All 1 image: mean magnitude inside nuclei 0\.\d+: healthy", said.out)
    assert "[image max] is misleading" in said.out
    found = json.loads(run(*argv, "--json").out)
    assert found["schema"] == "napari-hovernet/magnitude"
    assert 0.6 < found["overall"]["mean"]["mean"] < 0.8


def test_diagnose_names_the_cause_and_writes_reports(run: Any, files: Path, tmp_path: Path) -> None:
    model = files / "models" / "tiny.safetensors"
    page, out = tmp_path / "a.html", tmp_path / "a.json"
    argv = ("diagnose", "--model", model, "--data", files / "pairs", "--device", "cpu", "-q")
    said = run(*argv, "--report", page, "--json", out, "--n-samples", 2, "--all")
    assert said.status == 1
    assert said.out.startswith("Most likely cause: ") and "ever trained" in said.out.splitlines()[0]
    assert "1. FAULT " in said.out and "model.weights, " in said.out
    for words in ("   evidence  ", "   number    ", "   remedy    ", "\nIn order (",
                  "\nNot tested ("):  # fmt: skip
        assert words in said.out
    assert json.loads(out.read_text())["findings"][0]["id"] == "model.weights"
    assert "never trained" in page.read_text() and run(*argv, "--json", out).status == 2


def test_without_a_fault_diagnose_and_check_loss_are_status_0(run) -> None:
    said = run("diagnose", "--separation", "local", "--only", "separation", "--json", "-q")
    assert said.status == 0
    found = json.loads(said.out)
    assert (found["schema"], found["verdicts"]["fault"]) == ("napari-hovernet/diagnosis", 0)
    said = run("check-loss")
    assert (said.status, said.out.splitlines()[-1]) == (0, "7 of 7 corrected checks pass.")
    found = json.loads(run("check-loss", "--json").out)
    assert all(check["passed"] for check in found["checks"])


@pytest.mark.slow
def test_every_number_of_the_story_holds(run: Any) -> None:
    said = run("diagnose", "--story")
    assert (said.status, said.out.splitlines()[-1]) == (0, "22 of 22 hold.")


# --- training -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(run: Any, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of one epoch; the folder of its runs, and what was said."""
    runs = tmp_path_factory.mktemp("training")
    said = run("train", "--data", files / "pairs", "--start", files / "models" / "tiny.safetensors",
               "--epochs", 1, "--steps-per-epoch", 2, "--batch", 2, "--crop", 64, "--name", "mine",
               "--lambda_magnitude", 2, "--device", "cpu", "--runs-dir", runs)  # fmt: skip
    return runs, said


def test_train_prints_its_epochs_and_leaves_a_model(run: Any, trained: Any) -> None:
    runs, said = trained
    assert said.status == 0
    lines = said.out.splitlines()
    assert lines[0].split() == ["epoch", "train", "val", "magnitude", "true", "cosine", "AJI",
                                "CC", "oracle", "PQ", "Dice", "[all]", "time"]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["0", "1"]
    assert "data: 3 to train, 1 to validate, 21 nuclei" in said.err
    assert "mine: done. best epoch " in said.err
    assert {"best.safetensors", "last.safetensors", "config.json", "events.jsonl", "status.json",
            "report.html"} <= {path.name for path in (runs / "mine").iterdir()}  # fmt: skip
    about = json.loads(run("info", runs / "mine" / "last.safetensors", "--json").out)
    loss = about["training"]["loss"]
    assert (loss["lambda_magnitude"], about["training"]["optim"]["epochs"]) == (2.0, 1)
    assert [row["epoch"] for row in about["history"]] == [0, 1]


def test_a_run_is_listed_attached_and_not_stopped_when_done(run, trained, tmp_path) -> None:
    runs, _ = trained
    where = ("--runs-dir", runs)
    listed = run("runs", *where)
    assert listed.out.splitlines()[1].split()[:3] == ["mine", "done", "1/1"]
    (found,) = json.loads(run("runs", "--json", *where).out)
    assert (found["state"], found["epoch"], found["can_resume"]) == ("done", 1, False)
    said = run("attach", "mine", "--plot", tmp_path / "curves.png", *where)
    assert said.status == 0 and "mine: done" in said.err
    assert len(said.out.splitlines()) == 3
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    for argv, words in (
        (("stop", "mine"), "it is done"),
        (("train", "--resume", "mine"), "is done: start a new one"),
        (("train", "--resume", "mine", "--epochs", 9), "leave out --epochs"),
    ):
        said = run(*argv, *where)
        assert said.status == 2 and words in said.err


def test_a_prepared_run_says_how_to_start_it_and_can_be_removed(run, files, tmp_path) -> None:
    said = run("train", "--data", files / "pairs", "--start", files / "models" / "tiny.safetensors",
               "--name", "later", "--prepare", "--no-check", "--runs-dir", tmp_path)  # fmt: skip
    assert said.status == 0
    assert re.search(r"-m napari_hovernet train --run \S+later --now$", said.out.strip())
    (found,) = json.loads(run("runs", "--json", "--runs-dir", tmp_path).out)
    assert (found["state"], found["epochs"]) == ("new", 20)
    assert "has not been started" in run("stop", "later", "--runs-dir", tmp_path).err
    assert run("runs", "--remove", "later", "--runs-dir", tmp_path).status == 0
    assert not (tmp_path / "later").exists()


@pytest.mark.slow
def test_a_run_in_the_background_is_stopped_with_a_checkpoint(run, files, tmp_path) -> None:
    where = ("--runs-dir", tmp_path)
    said = run("train", "--data", files / "pairs", "--start", files / "models" / "tiny.safetensors",
               "--epochs", 10_000, "--batch", 2, "--crop", 64, "--name", "long", "--device", "cpu",
               "--detach", "--no-check", *where)  # fmt: skip
    assert (said.status, said.out) == (0, "long\n")
    events, left = tmp_path / "long" / "events.jsonl", time.monotonic() + LEFT_S
    while '"event": "epoch", "epoch": 1' not in (events.read_text() if events.exists() else ""):
        assert time.monotonic() < left, "it does not begin"
        time.sleep(0.05)
    assert (run("stop", "long", *where).status, run("attach", "long", *where).status) == (0, 0)
    (found,) = json.loads(run("runs", "--json", *where).out)
    assert (found["state"], found["can_resume"]) == ("stopped", True)
    assert (tmp_path / "long" / "checkpoints" / "last.ckpt").is_file()
