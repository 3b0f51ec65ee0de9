"""The session of a viewer: model, image, options, runs, status, and the settings it keeps."""

import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from napari_hovernet.app import session as settings
from napari_hovernet.app.session import NO_IMAGE, ImageChoice, Run, Session, Settings
from napari_hovernet.core.params import InferenceParams
from napari_hovernet.core.types import ModelInfo, Progress
from napari_hovernet.core.weights import DEFAULT
from napari_hovernet.errors import InputError

INFO = ModelInfo("compact", mpp=0.25)
IMAGE = ImageChoice(key=1, name="slide", mpp=0.5)


def result(n=3):
    return SimpleNamespace(n=n, magnitude_inside=0.66, seconds=3.1, nuclei=range(n))


@pytest.fixture
def session():
    session = Session()
    session.describe_model(DEFAULT, INFO)
    session.choose_image(IMAGE)
    return session


def finished(session, n=3):
    session.begin()
    run = Run(*session.next_run(), IMAGE, result(n))
    session.finish(run)
    return run


def test_the_reason_why_run_is_blocked_is_said_in_words():
    session = Session()
    assert session.blocked_reason().startswith("Reading the model")
    session.describe_model(DEFAULT, None, "broken file")
    assert "choose another" in session.blocked_reason()
    session.describe_model(DEFAULT, INFO)
    assert session.blocked_reason() == NO_IMAGE
    session.choose_image(replace(IMAGE, error="5 channels"))
    assert session.blocked_reason() == "5 channels"
    session.choose_image(IMAGE)
    assert session.blocked_reason() == ""
    session.begin()
    assert session.blocked_reason() == "A run is under way."
    with pytest.raises(InputError, match="under way"):
        session.begin()


def test_choosing_an_image_sets_its_mpp_but_keeps_a_typed_one_for_the_same_image(session):
    assert session.options.inference.image_mpp == 0.5
    typed = replace(session.options.inference, image_mpp=0.3)
    session.set_options(replace(session.options, inference=typed))
    session.choose_image(replace(IMAGE, description="plane 2 of 9"))
    assert session.options.inference.image_mpp == 0.3
    session.choose_image(ImageChoice(key=2, name="other"))
    assert session.options.inference.image_mpp is None


def test_progress_keeps_notices_and_what_went_wrong_is_not_said_of_the_next(session):
    session.begin(now=100.0)
    session.progress(Progress(1, 4, "tile 1", "out of memory: tile halved"), now=102.0)
    session.progress(Progress(2, 4, "tile 2"), now=104.0)
    assert (session.status.eta, session.status.notices) == (4.0, ("out of memory: tile halved",))
    session.finish(Run(*session.next_run(), IMAGE, result()))
    assert session.status.notices == ("out of memory: tile halved",)
    for change in (lambda: session.choose_image(replace(IMAGE, key=2)),
                   lambda: session.choose_model("other")):  # fmt: skip
        session.failed("The file is gone.")
        assert session.status.error
        change()
        assert not session.status.error and not session.status.message


def test_runs_are_numbered_undone_and_replaced(session):
    seen = []
    session.runs_changed.connect(lambda runs: seen.append([r.title for r in runs]))
    finished(session)
    finished(session)
    session.undo()
    session.redo()
    session.remove_run(1)
    session.undo()
    one, two = f"{DEFAULT} 1", f"{DEFAULT} 2"
    assert seen == [[one], [one, two], [one], [one, two], [two], [one, two]]
    session.set_options(replace(session.options, replace_previous=True))
    finished(session)
    assert [r.id for r in session.runs] == [1, 3]
    session.undo()
    assert [r.id for r in session.runs] == [1, 2]


def test_usable_checkpoints_are_remembered_and_broken_ones_forgotten():
    session = Session(Settings(recent_models=("/bad.tar",)))
    session.choose_model("/good.tar")
    session.describe_model("/good.tar", INFO)
    assert session.settings.recent_models == ("/good.tar", "/bad.tar")
    assert session.settings.model == "/good.tar"
    session.choose_model("/bad.tar")
    session.describe_model("/bad.tar", None, "truncated")
    assert (session.settings.recent_models, session.settings.model) == (("/good.tar",), DEFAULT)


def test_another_thread_may_not_change_the_session(session):
    caught = []

    def work():
        try:
            session.choose_image(None)
        except TypeError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(caught) == 1 and session.image is IMAGE


def test_settings_come_back_but_for_a_bad_field(tmp_path):
    given = {"recent_models": ("/a.tar",), "model": "/a.tar", "device": "cpu"}
    inference = InferenceParams(tile=512, batch=2, precision="float32")
    wanted = Settings(**given, separation="hover_net", inference=inference)
    path = tmp_path / "deep" / "settings.json"
    settings.save(wanted, path)
    assert settings.load(path) == wanted
    assert [p.name for p in path.parent.iterdir()] == ["settings.json"]
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"device": "cpu", "inference": {"tile": "big"}, "model": 4}))
    assert settings.load(path) == Settings(device="cpu")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1, 2]", '{"recent_models": 3, "inference": {"tile": -5}, "separation": "x"}', "\0"],
)
def test_a_damaged_file_gives_defaults(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text)
    assert settings.load(path) == Settings()
