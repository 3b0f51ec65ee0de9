"""Runs in the tab "Train": listed, judged, asked about; nothing of the viewer is touched."""

import pytest
from qtpy.QtWidgets import QMainWindow, QMessageBox

from napari_hovernet._napari import training as module
from napari_hovernet._napari.panels.closing import CloseQuestion, ask_before_closing
from napari_hovernet._napari.panels.train import TrainTab
from napari_hovernet.app.curves import PLOTS, points
from napari_hovernet.app.training import Checked

LONG_MS = 60_000


@pytest.fixture
def trainer(work, store):
    return module.training_for(work, store)


@pytest.fixture
def tab(qtbot, work, trainer):
    tab = TrainTab(work)
    qtbot.addWidget(tab)
    return tab


def opened(trainer, qtbot, name):
    """Look at a run and wait until it is read."""
    trainer.refresh()
    qtbot.waitUntil(lambda: any(r.name == name for r in trainer.runs), timeout=LONG_MS)
    trainer.choose(name)
    qtbot.waitUntil(lambda: trainer.view is not None, timeout=LONG_MS)


def click(box, text):
    next(b for b in box.buttons() if b.text().replace("&", "") == text).click()


def saved(recorder, kind="last", epoch=3):
    path = getattr(recorder.folder, kind)
    path.touch()
    recorder.write("checkpoint", epoch=epoch, path=path.name, kind=kind)


def test_a_run_that_never_got_better_says_so_whatever_was_remarked(tab, trainer, store, qtbot):
    run = store.record("my run")
    run.write("epoch", epoch=4, train={"total": 1.0}, val={"aji": 0.0, "magnitude": 0.6},
              best=False, seconds=1.0, remark="go on")  # fmt: skip
    run.write("epoch", epoch=0, train={"total": 1.0}, val={"aji": 0.753}, best=True, seconds=1.0)
    for epoch in (1, 2):
        run.write("epoch", epoch=epoch, train={"total": 1.0}, val={"aji": 0.743, "magnitude": 0.6},
                  best=False, seconds=1.0, remark="go on")  # fmt: skip
    saved(run)
    opened(trainer, qtbot, "my run")
    assert "AJI before 0.753, after 0.743: not better." in tab.run.words.text()
    assert tab.run.words.tone == "warn" and "go on" not in tab.run.words.text()
    assert tab.run.use.text() == "Use anyway" and tab.run.use.isEnabled()
    assert trainer.outcome.model == run.folder.last


@pytest.mark.parametrize("state", ["running", "done"])
def test_a_run_is_looked_at_while_it_goes_on_though_the_tab_was_left_at_once(
    tab, trainer, store, qtbot, state
):
    store.record("r", state=state)
    tab.shown()
    tab.left()
    assert not tab.timer.isActive()
    trainer.choose("r")
    assert trainer.view is None and tab.timer.isActive()
    qtbot.waitUntil(lambda: trainer.view is not None, timeout=LONG_MS)
    assert tab.timer.isActive() is trainer.view.active is (state == "running")


def test_curves_have_their_latest_numbers_and_a_start_its_model(tab, trainer, store, qtbot, work):
    store.record("r")
    opened(trainer, qtbot, "r")
    legend = [label.text for _, label in tab.run.plot.legend.items]
    assert legend == ["AJI 0.3", "magnitude 0.35", "its target 0.67"]
    for at, kind in enumerate(PLOTS):
        tab.run.kind.setValue(at)
        tab.run._draw()
        shown = [line for line in kind.lines if len(points(trainer.view, line)[0])]
        assert shown and len(tab.run.plot.legend.items) <= len(shown)
    work.session.choose_model("/m/a.pth")
    assert trainer.config.start == "/m/a.pth"
    tab.setup._start_picked("scratch:compact")
    work.session.choose_model("/m/b.pth")
    assert trainer.config.start == tab.setup.start_from.value() == "scratch:compact"


def test_failures_are_told_with_a_way_on(tab, trainer, store, qtbot):
    store.record("r", state="failed", message="The loss became NaN.", error="NaN in step 7.")
    opened(trainer, qtbot, "r")
    said = tab.run.words.text()
    assert said.startswith("failed: The loss became NaN. NaN in step 7.")
    assert "hv_magnitude" in said and tab.run.words.tone == "bad"
    assert tab.run.pause.text() == "Resume"
    tab.run.pause.click()
    qtbot.waitUntil(lambda: ("resume", "r") in store.asked, timeout=LONG_MS)
    qtbot.waitUntil(lambda: trainer.started == {"r"}, timeout=LONG_MS)


@pytest.mark.parametrize(("answer", "asked"), [("Kill", [("kill", "r")]), ("Cancel", [])])
def test_killing_asks(tab, trainer, store, qtbot, answer, asked):
    store.record("r", state="queued")
    opened(trainer, qtbot, "r")
    tab.run._ask("kill", "Sure?")
    click(tab.run.findChild(QMessageBox), answer)
    qtbot.waitUntil(lambda: not jobs_of(trainer), timeout=LONG_MS)
    assert [a for a in store.asked if a[0] == "kill"] == asked


def jobs_of(trainer):
    return [job for job in trainer.work.runner.jobs if job.name.startswith("Training: ")]


def test_data_that_are_refused_do_not_start(tab, trainer, store, qtbot, tmp_path, monkeypatch):
    def refuse(config):
        yield module.Progress(0, 0, "2 images with labels; reading them ...")
        return Checked(config.data, config.start, problems=("They are masks.",), refused=True)

    monkeypatch.setattr(module, "check_steps", refuse)
    tab.setup.add(str(tmp_path))
    tab.setup.go()
    qtbot.waitUntil(lambda: trainer.check is not None, timeout=LONG_MS)
    assert tab.setup.counts.text() == "They are masks." and tab.setup.counts.tone == "bad"
    assert not tab.setup.start.isEnabled() and store.asked == []


def test_a_start_waits_for_the_check_and_copies_pairs(
    tab, store, qtbot, tmp_path, monkeypatch, work
):
    trainer = tab.training
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    (pairs / "index.csv").write_text("name,path,label\n")

    def check(config):
        yield module.Progress(0, 0, "0 images")
        return Checked(config.data, config.start, "2 to train", pixels=1000)

    monkeypatch.setattr(module, "check_steps", check)
    work.add_data_folder(str(pairs))
    tab.setup.pairs.click()
    tab.setup.go()
    qtbot.waitUntil(lambda: bool(trainer.chosen), timeout=LONG_MS)
    run = store.find(trainer.chosen)
    assert run.read_config().data.sources == (str(run.path / "data"),)
    assert run.name.startswith("lite-typed-20") and trainer.started == {run.name}


@pytest.fixture
def window(qtbot, tab, trainer):
    """One that holds the tab and asks before it closes, as napari's does."""
    window = QMainWindow()
    qtbot.addWidget(window)
    window.setCentralWidget(tab)
    window.show()
    ask_before_closing(window, trainer)
    return window


@pytest.mark.parametrize(
    ("answer", "closed", "stopped"),
    [("Cancel", False, False), ("Let it go on", True, False),
     ("Stop it with a checkpoint", True, True)],
)  # fmt: skip
def test_closing_asks_and_can_be_cancelled(window, trainer, store, answer, closed, stopped):
    ask_before_closing(window, trainer)
    (question,) = window.findChildren(CloseQuestion)
    store.record("r", state="queued")
    trainer.started.add("r")
    trainer.still_running = lambda: ("r",)  # its process is made up
    window.close()
    assert window.isVisible() and "r goes on" in question.box.text()
    click(question.box, answer)
    assert window.isVisible() is not closed and (("stop", "r") in store.asked) == stopped


def test_a_program_that_closes_its_viewer_is_not_asked(window, tab, trainer):
    trainer.still_running = lambda: ("r",)
    tab.close()
    window.close()
    assert not window.isVisible()
