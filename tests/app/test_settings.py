from __future__ import annotations

import json

import pytest

from napari_hovernet.app import session as settings
from napari_hovernet.app.session import RECENT_LIMIT, Settings
from napari_hovernet.core.params import InferenceParams
from napari_hovernet.errors import OutputError


def test_round_trip(tmp_path):
    wanted = Settings(
        recent_models=("/a.tar",),
        model="/a.tar",
        device="cpu",
        separation="hover_net",
        inference=InferenceParams(tile=512, batch=2, precision="float32"),
    )
    path = tmp_path / "deep" / "settings.json"
    settings.save(wanted, path)
    assert settings.load(path) == wanted
    assert [p.name for p in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1, 2]", '{"recent_models": 3, "inference": {"tile": -5}, "separation": "x"}', "\0"],
)
def test_a_damaged_file_gives_defaults(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text)
    assert settings.load(path) == Settings()


def test_one_bad_field_does_not_cost_the_others(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"device": "cpu", "inference": {"tile": "big"}, "model": 4}))
    assert settings.load(path) == Settings(device="cpu")


def test_recent_list_is_short_and_without_repeats():
    some = Settings()
    for i in range(RECENT_LIMIT + 4):
        some = some.with_recent(f"/{i % 10}.tar")
    assert len(some.recent_models) == RECENT_LIMIT == len(set(some.recent_models))
    assert some.recent_models[0] == "/1.tar"


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        settings.save(Settings(), blocker / "settings.json")


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(settings.CONFIG_ENV, str(tmp_path))
    assert settings.config_file() == tmp_path / "settings.json"
