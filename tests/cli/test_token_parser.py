"""Options of the token decoder: of ``evaluate``, ``magnitude`` and ``tokens``."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_hovernet.cli.parser import build_parser
from napari_hovernet.cli.token_parser import BACKBONE, PREFIXES, TRUTHS
from napari_hovernet.core.tokens.data import TRUTHS as KNOWN_TRUTHS
from napari_hovernet.core.tokens.decode import TOKEN_PREFIXES


def parsed(*argv: str) -> dict[str, object]:
    return vars(build_parser().parse_args(argv))


@pytest.mark.parametrize("command", ["evaluate", "magnitude"])
def test_a_family_stands_in_for_images(command: str) -> None:
    options = parsed(command, "--family", "epidermal", "--checkpoint", "c.pth", "--n-samples", "5")
    assert (options["family"], options["model"], options["n_samples"]) == ("epidermal", "c.pth", 5)
    assert options["data_dir"] is None
    assert options["token_prefix"] is None
    given = parsed(command, "--family", "f", "--data-dir", "d", "--token-prefix", "historical")
    assert (given["data_dir"], given["token_prefix"]) == (Path("d"), "historical")


def test_an_unknown_prefix_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("evaluate", "--family", "f", "--token-prefix", "7")
    assert "--token-prefix" in capsys.readouterr().err


def test_the_choices_are_those_that_are_known() -> None:
    known = {name.split()[0] for name in TOKEN_PREFIXES}
    assert set(PREFIXES) == known
    assert set(TRUTHS) == set(KNOWN_TRUTHS)


def test_tokens_of_images() -> None:
    options = parsed("tokens", "images", "-o", "f_features.npz", "--layer", "24")
    assert (options["images"], options["output"]) == (Path("images"), Path("f_features.npz"))
    assert (options["backbone"], options["layer"], options["size"]) == (BACKBONE, 24, 224)
