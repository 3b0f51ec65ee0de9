"""Two runs beside each other, on a ViewerModel; the last test opens a real viewer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_hovernet._napari import workspace
from napari_hovernet._napari.correcting import correcting_for
from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.side_by_side import side_by_side_for
from napari_hovernet._napari.view import grid_of
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.app.study import TruthChoice
from napari_hovernet.core.measure.changes import MATCHED, ONLY_A, ONLY_B
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import UserError

WAIT_MS = 60_000


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def desk(viewer, jobs, qapp):
    yield desk_for(viewer)
    forget(viewer)


@pytest.fixture
def sides(desk):
    return side_by_side_for(desk.viewer)


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")


@pytest.fixture
def add(desk, viewer, image, make_result, qtbot):
    """Add a run; ``move`` shifts its second nucleus to the right."""

    def add(number, move=0, layer=None, **keywords):
        result, layer = make_result(**keywords), layer or image
        labels = result.labels.copy()
        labels[labels == 2] = 0
        labels[30:40, 20 + move : 32 + move] = 2
        run = Run(
            number, f"compact {number}", ImageChoice(id(layer), layer.name),
            replace(result, labels=labels), placement(layer, viewer.dims.current_step), {},
        )  # fmt: skip
        desk.work.session.finish(run)
        settle(desk, qtbot)
        return run

    return add


@pytest.fixture
def told(sides):
    heard = []
    sides.failed.connect(lambda error: heard.append(str(error)))
    return heard


def settle(desk, qtbot):
    sides = side_by_side_for(desk.viewer)

    def done():
        return not (desk.busy or sides.busy) and desk.work.layers.settled

    qtbot.waitUntil(done, timeout=WAIT_MS)


def shown(viewer):
    return [x.name for x in viewer.layers if x.visible]


def table(sides):
    return {row.name: row.texts() for row in sides.two.rows()}


def test_two_runs_and_their_difference_are_shown(desk, sides, add, viewer, qtbot):
    b, a = add(1, move=40), add(2)
    assert sides.partners() == [b]
    sides.enter(b)
    assert sides.on and sides.waiting == "Comparing ..." and sides.pair == (a, b)
    assert shown(viewer) == [
        "B - A · slide", "B - A", "B · slide", "B · compact 1", "A · slide", "A · compact 2",
    ]  # fmt: skip
    settle(desk, qtbot)
    assert sides.waiting == "" and table(sides)["Nuclei"] == ("2", "2", "0")
    kinds = viewer.layers["B - A"].data
    assert kinds[10, 10] == MATCHED and kinds[35, 25] == ONLY_A and kinds[35, 65] == ONLY_B
    sides.leave()
    assert shown(viewer) == ["slide", "compact 1 · nuclei", "compact 2 · nuclei"]
    assert not grid_of(viewer).enabled and sides.two is None and not sides.on


def test_corrections_and_a_truth_are_followed(desk, sides, add, viewer, qtbot):
    b, a = add(1, move=40), add(2)
    correcting = correcting_for(viewer)
    sides.enter(b)
    settle(desk, qtbot)
    desk.instances_layer().data[50:60, 5:15] = 3
    correcting.take()
    desk.study.choose_truth(TruthChoice("t", "truth", a.result.labels))
    settle(desk, qtbot)
    rows = table(sides)
    assert rows["Nuclei"] == ("3", "2", "-1") and rows["Dice"][2].startswith("-")
    assert viewer.layers["A · compact 2"].data[55, 10] == 3
    assert viewer.layers["B - A"].data[55, 10] == ONLY_A


def test_another_run_under_the_glass_leaves_the_pair_alone(desk, sides, add, viewer, qtbot):
    b, a = add(1), add(2)
    sides.enter(b)
    settle(desk, qtbot)
    viewer.layers.selection.active = viewer.layers["B · compact 1"]
    assert desk.run is b and sides.pair == (a, b) and len(shown(viewer)) == 6


def test_it_says_why_it_cannot(desk, sides, add, viewer, qtbot):
    with pytest.raises(UserError, match="segment an image first"):
        sides.enter(None)
    other = viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="other")
    a, elsewhere, part = add(1), add(2, layer=other), add(3, offset=(5, 5))
    desk.choose_run(1)
    assert sides.partners() == []
    with pytest.raises(UserError, match="'slide' and compact 2 from 'other'"):
        sides.enter(elsewhere)
    with pytest.raises(UserError, match="same region"):
        sides.enter(part)
    with pytest.raises(UserError, match="beside itself"):
        sides.enter(a)
    assert not sides.on and "slide" in shown(viewer)


@pytest.mark.parametrize("gone", [1, 2], ids=["B", "A"])
def test_a_run_removed_meanwhile_ends_it_cleanly(desk, sides, add, viewer, qtbot, gone):
    b = add(1, move=40)
    add(2)
    sides.enter(b)
    desk.work.session.remove_run(gone)
    assert not sides.on and not grid_of(viewer).enabled
    settle(desk, qtbot)
    qtbot.wait(20)
    left = 3 - gone
    assert shown(viewer) == ["slide", f"compact {left} · nuclei"]
    desk.work.undo()
    settle(desk, qtbot)
    assert set(shown(viewer)) == {"slide", "compact 1 · nuclei", "compact 2 · nuclei"}


def test_undo_of_everything_meanwhile_is_no_error(desk, sides, add, viewer, qtbot):
    b = add(1)
    add(2)
    sides.enter(b)
    desk.work.undo()
    desk.work.undo()
    qtbot.wait(20)
    assert shown(viewer) == ["slide"] and not sides.on


def test_one_of_its_layers_deleted_by_hand_ends_it(desk, sides, add, viewer, qtbot):
    b = add(1)
    add(2)
    sides.enter(b)
    viewer.layers.remove(viewer.layers["B · compact 1"])
    qtbot.waitUntil(lambda: not sides.on, timeout=WAIT_MS)
    assert shown(viewer) == ["slide", "compact 1 · nuclei", "compact 2 · nuclei"]


def test_without_the_image_outlines_stand_alone(desk, sides, add, viewer, image, qtbot):
    b = add(1)
    add(2)
    viewer.layers.remove(image)
    sides.enter(b)
    assert shown(viewer) == ["B - A", "B · compact 1", "A · compact 2"]
    settle(desk, qtbot)
    assert sides.two is not None
    with pytest.raises(UserError, match="no longer among the layers"):
        sides.run_other("compact")


def test_another_checkpoint_runs_on_the_same_image_and_region(
    desk, sides, add, viewer, jobs, qtbot
):
    a = add(1)
    session = desk.work.session
    session.set_options(replace(session.options, replace_previous=True, region="view"))
    sides.run_other("/models/other.tar")
    assert sides.busy and sides.waiting == "Reading the model file ..."
    with pytest.raises(UserError, match="under way"):
        sides.run_other("compact")
    qtbot.waitUntil(lambda: sides.on, timeout=WAIT_MS)
    settle(desk, qtbot)
    first, second = sides.pair
    assert first is a and second.title == "other 2" and second in session.runs
    assert a in session.runs and session.options.replace_previous  # A was not replaced
    (request,) = jobs.requests
    assert request.model == "/models/other.tar" and request.box == (0, 64, 0, 80)
    assert request.inference == a.result.params.inference
    assert request.separation == a.result.params.separation
    assert len(shown(viewer)) == 6 and desk.run is a
    sides.leave()
    assert "other 2 · nuclei" in shown(viewer)


def test_a_checkpoint_that_does_not_run_is_told(sides, add, viewer, jobs, told, qtbot):
    add(1)
    jobs.error = RuntimeError("shapes cannot be multiplied")
    sides.run_other("other.tar")
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert "not run: " in told[0] and "cannot be multiplied" in told[0]
    assert not sides.busy and not sides.on and shown(viewer) == ["slide", "compact 1 · nuclei"]


def test_a_checkpoint_that_cannot_be_read_is_told(sides, add, told, monkeypatch, qtbot):
    add(1)

    def describe(_source):
        yield Progress(0, 0)
        raise UserError("other.tar is no checkpoint")

    monkeypatch.setattr(workspace, "describe_steps", describe)
    sides.run_other("bad.tar")
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert "no checkpoint" in told[0] and not sides.busy


def test_a_second_run_that_is_cancelled_is_told(desk, sides, add, jobs, told, qtbot):
    add(1)
    jobs.tiles, jobs.pause_s = 500, 0.01
    sides.run_other("other.tar")
    qtbot.waitUntil(lambda: desk.work.session.status.done > 0, timeout=WAIT_MS)
    desk.work.cancel()
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert "Cancelled" in told[0] and not sides.busy


def test_another_model_chosen_meanwhile_is_told(desk, sides, add, told, qtbot):
    add(1)
    sides.run_other("other.tar")
    desk.work.session.choose_model("third.tar")
    desk.work.session.describe_model("third.tar", None, "is not there")
    assert "Another model" in told[0] and not sides.busy


def test_two_viewers_do_not_mix(desk, sides, add, viewer, jobs, qtbot):
    other_viewer = ViewerModel()
    other = side_by_side_for(other_viewer)
    b = add(1)
    add(2)
    sides.enter(b)
    assert not other.on and not grid_of(other_viewer).enabled and len(other_viewer.layers) == 0
    forget(other_viewer)


def test_in_a_real_viewer(make_napari_viewer, jobs, make_result, qtbot):
    viewer = make_napari_viewer(show=True)
    desk, sides = desk_for(viewer), side_by_side_for(viewer)
    pixels = np.full((64, 80, 3), 200, np.uint8)
    image = viewer.add_image(pixels, rgb=True, name="slide")
    for number in (1, 2):
        place = placement(image, (0, 0))
        run = Run(number, f"c {number}", ImageChoice(id(image), "slide"), make_result(), place, {})
        desk.work.session.finish(run)
    settle(desk, qtbot)
    before = viewer.scene.camera.zoom
    plain = viewer.screenshot(flash=False)
    sides.enter(desk.work.session.runs[0])
    settle(desk, qtbot)
    beside = viewer.screenshot(flash=False)
    columns = (np.abs(beside[..., :3].astype(int) - 200).max(axis=2) < 12).mean(axis=0) > 0.15
    blocks = int((np.diff(columns.astype(int), prepend=0) == 1).sum())
    assert blocks == 3, "three pictures beside each other"
    desk.work.undo()
    qtbot.waitUntil(lambda: not sides.on, timeout=WAIT_MS)
    assert viewer.scene.camera.zoom == pytest.approx(before)
    assert viewer.screenshot(flash=False).shape == plain.shape
    forget(viewer)
