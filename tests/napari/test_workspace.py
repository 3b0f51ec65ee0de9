"""State, jobs and screen of one viewer together; the network is a stand-in, there is no window."""

from dataclasses import replace

import numpy as np
from napari.components import ViewerModel

from napari_hovernet._napari import demo
from napari_hovernet._napari import workspace as module
from napari_hovernet._napari.panels.segment import RunOptions
from napari_hovernet._napari.panels.several import folder_request
from napari_hovernet.app.study import verdict
from napari_hovernet.core.separation.tuning import with_value
from napari_hovernet.core.types import CONSEP, ModelInfo
from napari_hovernet.core.weights import DEFAULT
from napari_hovernet.errors import UserError


def names(work):
    return [layer.name for layer in work.viewer.layers]


def planted(work, planted_run, settle, **changes):
    """Put a finished run over generated tissue into the session."""
    image = work.viewer.add_image(np.zeros((200, 260, 3), np.uint8), name="tissue", scale=(1, 1))
    number, title = work.session.next_run()
    run = replace(planted_run(image, number, **changes), title=title)
    work.session.finish(run)
    settle(work)
    return run


def test_undo_takes_edits_and_then_the_run_and_redo_brings_them_back(work, planted_run, settle):
    run = planted(work, planted_run, settle)
    work.tuning.edit(with_value(work.tuning.params, "np_threshold", 0.9))
    settle(work)
    assert work.study.labels is not run.result.labels
    work.undo()
    settle(work)
    assert work.study.labels is run.result.labels
    assert np.array_equal(work.layers.drawn(), run.result.labels)
    work.undo()
    settle(work)
    assert work.study.run is None and names(work) == ["slide", "tissue"]
    work.redo()
    settle(work)
    assert work.study.run is run and np.array_equal(work.layers.drawn(), run.result.labels)


def test_what_is_on_screen_is_what_is_studied_saved_and_judged(work, planted_run, settle):
    run = planted(work, planted_run, settle)
    limit = int(np.median(run.result.nuclei.area))
    work.tuning.edit(with_value(work.tuning.params, "min_area", limit))
    settle(work)
    drawn, study = work.layers.drawn(), work.study
    assert np.array_equal(drawn, study.labels)
    fewer = len(np.unique(drawn)) - 1
    assert 0 < fewer < run.result.n
    assert len(study.findings.nuclei) == study.findings.blobs.n_instances == fewer
    assert verdict(study).text.startswith(f"{fewer} nuclei")
    assert work.result_now().n == fewer and study.cut_with.min_area == limit
    kept = np.isin(run.result.labels, np.unique(drawn)[1:])
    assert np.array_equal(drawn[kept], run.result.labels[kept])  # same ids, so same colours
    assert len(work.layers.nuclei.features) == fewer


def test_views_change_colours_and_map_and_nothing_else(work, planted_run, settle):
    planted(work, planted_run, settle)
    module.images.camera_of(work.viewer).zoom = 1
    colours = {}
    for view in ("image", "blobs", "probability", "hv", "types", "outcome"):
        work.session.set_view(view)
        settle(work)
        colours[view] = work.layers.nuclei.colormap.map(np.arange(1, 9)).tobytes()
    assert len({colours["image"], colours["blobs"], colours["probability"]}) == 3
    work.session.set_colour_by("np_mean")
    settle(work)
    assert work.layers.nuclei.colormap.map(np.arange(1, 9)).tobytes() not in colours.values()
    work.session.set_view("image")
    settle(work)
    assert work.session.colour_by is None
    assert work.layers.nuclei.colormap.map(np.arange(1, 9)).tobytes() == colours["image"]
    assert len(work.viewer.layers) == 5


def test_a_stroke_is_a_correction_and_blocks_tuning_until_it_is_dropped(work, planted_run, settle):
    run = planted(work, planted_run, settle)
    work.layers.nuclei.fill((100, 130), 9999)
    settle(work)
    assert work.study.instances.corrected and 9999 in work.study.labels
    assert "by hand" in work.tuning_blocked()
    work.tuning.edit(with_value(work.tuning.params, "min_area", 400))
    settle(work)
    assert 9999 in work.study.labels
    work.undo()
    settle(work)
    assert work.study.labels is run.result.labels and not work.tuning_blocked()
    work.redo()
    settle(work)
    assert 9999 in work.study.labels and work.study.instances.corrected
    work.tuning.reset()
    work.live.drop_corrections()
    settle(work)
    assert work.study.labels is run.result.labels and not work.tuning_blocked()


def test_runs_are_left_as_they_stand(work, planted_run, settle):
    first = planted(work, planted_run, settle)
    work.tuning.edit(with_value(work.tuning.params, "min_area", 400))
    settle(work)
    tuned = work.study.labels
    second = planted_run(work.image_layer(), 2, seed=3)
    work.session.finish(replace(second, image=first.image))
    settle(work)
    assert work.study.run.id == 2 and len(work.viewer.layers) == 3
    work.choose_run(1)
    settle(work)
    assert work.study.labels is tuned and work.tuning.params.separation.min_area == 400
    assert np.array_equal(work.layers.drawn(), tuned)


def test_zoomed_in_the_part_in_view_comes_first(work, planted_run, settle, monkeypatch):
    planted(work, planted_run, settle)
    monkeypatch.setattr("napari_hovernet._napari.live.LIVE_PIXELS", 5_000)
    work.tuning.edit(with_value(work.tuning.params, "min_area", 400))
    settle(work)
    assert work.tuning.tuned.box is None and work.study.cut_with.min_area == 400
    assert np.array_equal(work.layers.drawn(), work.study.labels)


def test_several_images_one_after_the_other(work, settle, jobs):
    other = work.viewer.add_image(np.zeros((64, 80, 3), np.uint8), name="two", translate=(0, 90))
    jobs.pause_s = 0.01
    work.run_layers([work.viewer.layers["slide"], other])
    settle(work)
    assert [run.image.name for run in work.session.runs] == ["slide", "two"]
    assert [x for x in names(work) if "nuclei" in x] == [f"{DEFAULT} {n} · nuclei" for n in (1, 2)]
    assert all(layer.visible for layer in work.viewer.layers)


def test_cancel_and_removed_image(work, settle, jobs):
    jobs.pause_s = 0.05
    work.run()
    work.viewer.layers.clear()
    settle(work)
    assert "removed" in work.session.status.message and not work.session.runs


def test_an_error_leaves_nothing_and_colour_planes_are_taken_as_rgb(work, settle, jobs):
    jobs.error = UserError("The file is gone.")
    work.run()
    settle(work)
    assert work.session.status.error == "The file is gone." and names(work) == ["slide"]
    flat = work.viewer.add_image(np.zeros((3, 64, 80), np.uint8), rgb=False, name="flat")
    assert "colour image" in work.session.blocked_reason()
    work.take_offer()
    assert work.session.image.name == "flat RGB" and not work.session.blocked_reason()
    assert not flat.visible


def test_one_workspace_for_each_viewer(qtbot, jobs):
    one, two = ViewerModel(), ViewerModel()
    assert module.workspace_for(one) is module.workspace_for(one)
    assert module.workspace_for(one) is not module.workspace_for(two)
    first = module.workspace_for(one)
    module.forget(one)
    assert first.closed and module.workspace_for(one) is not first
    module.forget(one), module.forget(two)


def test_careful_mode_and_types_of_a_file_are_chosen_under_more(work, qtbot, tmp_path, jobs):
    options = RunOptions(work)
    qtbot.addWidget(options)
    box = options.form.boxes["views"]
    box.setCurrentIndex(2)
    box.activated.emit(2)
    assert work.session.options.inference.views == 8
    bad, good = tmp_path / "bad.json", tmp_path / "types.json"
    bad.write_text("{}")
    good.write_text('{"1": ["tumour", [255, 0, 0], [1, 2]]}')
    said = []
    work.said.connect(lambda text, tone: said.append((text, tone)))
    options.types.choose(str(bad))
    assert said[-1][1] == "bad" and work.session.options.types == ""
    options.types.choose(str(good))
    assert options.types.name.text() == "types.json"
    known = ModelInfo("lite", types=dict(CONSEP))
    work.session.describe_model(work.session.model.source, known)
    assert work.request(work.image_layer()).types == folder_request(work).types == str(good)
    work.session.describe_model(work.session.model.source, replace(known, types={}))
    assert work.request(work.image_layer()).types == "" and not options.types.name.isEnabled()


def test_without_display_it_says_what_to_do(caplog, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert demo.main([]) == 1 and "--screenshot" in caplog.text
    monkeypatch.setattr(demo.shutil, "which", lambda _: None)
    assert demo.main(["--screenshot", "x.png"]) == 1 and "xvfb xauth" in caplog.text
