"""The editor shows what a method reads, and says only what the user did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_hovernet._napari.widgets.tune_editor import CHANGED, PRESET_TITLES, TuneEditor
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.params import FAULTS, METHODS, PRESETS, SeparationParams
from napari_hovernet.core.separation.tuning import (
    TUNABLES,
    TuneParams,
    tunables_for,
    value_of,
    with_value,
)


@pytest.fixture
def editor(qtbot):
    editor = TuneEditor()
    qtbot.addWidget(editor)
    editor.set_defaults(TuneParams())
    return editor


@pytest.fixture
def said(editor):
    """What the editor said: (params, control) or the name of a preset."""
    said = []
    editor.valueChanged.connect(lambda params, control: said.append((params, control)))
    editor.presetChosen.connect(said.append)
    return said


def shown(editor):
    return [name for name, slider in editor.sliders.items() if not slider.isHidden()]


def pick(combo, data):
    """Choose an entry as a user does."""
    index = combo.findData(data)
    combo.setCurrentIndex(index)
    combo.activated.emit(index)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_make_the_round_trip_in_silence(editor, said, preset):
    params = TuneParams(SeparationParams.preset(preset), HVReading("vh", "inward", 7.5))
    editor.setValue(params, preset)
    assert editor.value() == params and said == []
    assert editor.preset.currentData() == preset
    assert (editor.order.currentData(), editor.sign.currentData()) == ("vh", "inward")
    for name in shown(editor):
        assert editor.sliders[name].value() == value_of(params, name)
    assert editor.merge.isChecked() == (preset == "merging_relabel")


@pytest.mark.parametrize("method", METHODS)
def test_only_what_the_method_reads_is_shown(editor, method):
    editor.setValue(TuneParams(SeparationParams.preset(method)), method)
    assert sorted(shown(editor)) == sorted(t.name for t in tunables_for(method))


def test_parameters_that_are_no_preset_are_called_changed(editor):
    editor.setValue(TuneParams(SeparationParams(depth=0.3)))
    assert editor.preset.currentData() == CHANGED and editor.preset.currentText() == "changed"


@pytest.mark.parametrize("known", TUNABLES, ids=[t.name for t in TUNABLES])
def test_a_slider_changes_its_number_and_names_itself(editor, said, known):
    params = TuneParams(SeparationParams.preset(known.reads[0]))
    editor.setValue(params, known.reads[0])
    value = known.snap(known.low + 0.8 * (known.high - known.low))
    editor.sliders[known.name].spin.setValue(value)
    assert said == [(with_value(params, known.name, value), known.name)]
    assert editor.value() == said[0][0] and editor.preset.currentData() == CHANGED


def test_a_bound_that_takes_its_partner_along_shows_that(editor, said):
    editor.sliders["magnitude_low"].spin.setValue(1.2)
    assert editor.sliders["magnitude_high"].value() == 1.2
    assert len(said) == 1 and said[0][0].separation.magnitude_high == 1.2


def test_order_and_sign_of_hv(editor, said):
    pick(editor.order, "vh")
    pick(editor.sign, "inward")
    assert [params.hv for params, _ in said] == [HVReading("vh"), HVReading("vh", "inward")]
    assert [control for _, control in said] == ["", ""]  # each is an edit of its own


def test_choosing_a_preset_asks_for_it(editor, said):
    pick(editor.preset, "hover_net")
    assert said == ["hover_net"]
    assert editor.value() == TuneParams()  # whoever owns the parameters decides


def test_choosing_changed_is_nothing(editor, said):
    pick(editor.preset, CHANGED)
    assert said == []


def test_relabelling_is_a_tick_box_that_says_what_is_wrong(editor, said):
    assert editor.fault.isHidden()
    editor.merge.click()
    assert said == [(TuneParams(SeparationParams(merge_touching=True)), "")]
    assert editor.fault.text() == FAULTS["merging_relabel"] and not editor.fault.isHidden()
    editor.merge.click()
    assert editor.fault.isHidden() and said[-1][0] == TuneParams()


@pytest.mark.parametrize("preset", PRESETS)
def test_faults_are_said_in_words(editor, preset):
    editor.setValue(TuneParams(SeparationParams.preset(preset)), preset)
    assert editor.fault.text() == FAULTS.get(preset, "")
    assert editor.fault.isHidden() == (preset not in FAULTS)
    assert ("faulty" in PRESET_TITLES[preset]) == (preset in FAULTS)


def test_a_faulty_preset_stays_faulty_when_it_is_changed(editor):
    peaks = replace(SeparationParams.preset("magnitude_peaks"), np_threshold=0.3)
    editor.setValue(TuneParams(replace(peaks, merge_touching=True)))
    assert FAULTS["magnitude_peaks"] in editor.fault.text()
    assert FAULTS["merging_relabel"] in editor.fault.text()


def test_reset_buttons_lead_where_they_are_told(editor, said):
    published = SeparationParams.preset("hover_net")
    editor.setValue(TuneParams(replace(published, sobel_size=9)))
    editor.set_defaults(TuneParams(published))
    assert said == [] and editor.sliders["sobel_size"].reset.isEnabled()
    assert not editor.sliders["blur_size"].reset.isEnabled()
    editor.sliders["sobel_size"].reset.click()
    assert said == [(TuneParams(published), "sobel_size")]


def test_all_methods_and_presets_are_offered(editor):
    found = [editor.preset.itemData(i) for i in range(editor.preset.count())]
    assert found == [*PRESETS, CHANGED]


def test_everything_has_a_name_for_screen_readers(editor):
    for widget in (editor.preset, editor.order, editor.sign, editor.merge):
        assert widget.accessibleName() and widget.toolTip()
