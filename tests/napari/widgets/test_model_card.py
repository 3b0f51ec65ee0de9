from __future__ import annotations

from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QLabel

from napari_hovernet._napari.widgets.model_card import ModelCard, card_lines
from napari_hovernet.app.session import ModelChoice
from napari_hovernet.core.types import ModelInfo, TypeInfo

TYPES = {0: TypeInfo("background", (0, 0, 0)), 1: TypeInfo("neoplastic", (255, 0, 0))}
INFO = ModelInfo(
    "hovernet", mode="fast", types=TYPES, mpp=0.25, parameters=37_600_000,
    licence="CC BY-NC-SA 4.0", source="/m/fast.tar", sha256="0123456789abcdef" * 4,
    file_kind="hover_net", notes=("mpp not in the file: 0.25 assumed",),
)  # fmt: skip


def texts(widget):
    return [label.text() for label in widget.findChildren(QLabel)]


def test_everything_to_know_before_a_run_is_there(qtbot):
    card = ModelCard()
    qtbot.addWidget(card)
    card.setValue(ModelChoice("/m/fast.tar", INFO))
    shown = texts(card)
    for text in (
        "HoVer-Net, mode fast", "neoplastic", "0.25 µm per pixel", "37,600,000",
        "CC BY-NC-SA 4.0", "/m/fast.tar (hover_net file)", "0123456789ab ...",
        "mpp not in the file: 0.25 assumed",
    ):  # fmt: skip
        assert text in shown
    assert "background" not in shown


def test_the_whole_hash_is_copied(qtbot):
    card = ModelCard()
    qtbot.addWidget(card)
    card.setValue(ModelChoice("/m/fast.tar", INFO))
    card.copy_hash()
    assert QGuiApplication.clipboard().text() == INFO.sha256


def test_an_unreadable_file_shows_why_and_nothing_of_the_model_before(qtbot):
    card = ModelCard()
    qtbot.addWidget(card)
    card.setValue(ModelChoice("/m/fast.tar", INFO))
    card.setValue(ModelChoice("/m/bad.tar", None, "bad.tar is cut off"))
    assert card.message.text() == "bad.tar is cut off"
    assert card.isAncestorOf(card.message) and not card.message.isHidden()
    assert "HoVer-Net, mode fast" not in texts(card)


def test_what_is_not_known_is_said():
    lines = {line.title: line.text for line in card_lines(ModelInfo("compact"))}
    assert lines["Trained at"] == "not known" and lines["Licence"].startswith("not stated")
