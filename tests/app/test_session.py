from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from napari_hovernet.app.session import NO_IMAGE, ImageChoice, Run, Session, Settings
from napari_hovernet.core.types import ModelInfo, Progress
from napari_hovernet.errors import InputError

INFO = ModelInfo("compact", mpp=0.25)
IMAGE = ImageChoice(key=1, name="slide", mpp=0.5)


def result(n=3):
    return SimpleNamespace(n=n, magnitude_inside=0.66, seconds=3.1, nuclei=range(n))


@pytest.fixture
def session():
    session = Session()
    session.describe_model("compact", INFO)
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
    session.describe_model("compact", None, "broken file")
    assert "choose another" in session.blocked_reason()
    session.describe_model("compact", INFO)
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


def test_progress_gives_time_left_and_keeps_notices(session):
    session.begin(now=100.0)
    session.progress(Progress(1, 4, "tile 1", "out of memory: tile halved"), now=102.0)
    session.progress(Progress(2, 4, "tile 2"), now=104.0)
    assert session.status.eta == 4.0
    assert session.status.notices == ("out of memory: tile halved",)
    session.finish(Run(*session.next_run(), IMAGE, result()))
    assert session.status.notices == ("out of memory: tile halved",)


def test_late_progress_after_the_end_is_ignored(session):
    session.begin()
    session.cancelled()
    session.progress(Progress(1, 2))
    assert session.status.state == "idle"


def test_runs_are_numbered_and_undone_one_by_one(session):
    seen = []
    session.runs_changed.connect(lambda runs: seen.append([r.title for r in runs]))
    finished(session)
    finished(session)
    session.undo()
    session.redo()
    session.remove_run(1)
    session.undo()
    one, two = "compact 1", "compact 2"
    assert seen == [[one], [one, two], [one], [one, two], [two], [one, two]]


def test_replace_previous_is_one_change(session):
    finished(session)
    session.set_options(replace(session.options, replace_previous=True))
    finished(session)
    assert [r.id for r in session.runs] == [2]
    session.undo()
    assert [r.id for r in session.runs] == [1]
    assert {r.id for r in session.kept_runs} == {1, 2}


def test_failure_is_kept_for_the_user_and_the_next_run_clears_it(session):
    session.begin()
    session.failed("no disk space")
    assert session.status.error == "no disk space" and not session.status.busy
    finished(session)
    assert session.status.error == ""


def test_a_model_described_too_late_is_ignored(session):
    session.choose_model("/b.tar")
    session.describe_model("/a.tar", INFO)
    assert session.model.reading


def test_usable_checkpoints_are_remembered_and_broken_ones_forgotten():
    session = Session(Settings(recent_models=("/bad.tar",)))
    session.choose_model("/good.tar")
    session.describe_model("/good.tar", INFO)
    assert session.settings.recent_models == ("/good.tar", "/bad.tar")
    assert session.settings.model == "/good.tar"
    session.choose_model("/bad.tar")
    session.describe_model("/bad.tar", None, "truncated")
    assert session.settings.recent_models == ("/good.tar",)
    assert session.settings.model == "compact"


def test_mpp_of_an_image_is_not_remembered(session):
    assert session.options.inference.image_mpp == 0.5
    assert session.settings.inference.image_mpp is None


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


def test_values_with_arrays_are_never_compared(session):
    run = finished(session)
    assert run != replace(run, title=run.title)
