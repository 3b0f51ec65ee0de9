"""Commands that napari's menus and command palette run; the viewer is given by napari."""

from __future__ import annotations

from napari.utils.notifications import show_info
from napari.viewer import Viewer

from .session_for import session_for


def undo_run(viewer: Viewer) -> None:
    """Take the last run (or the removal of one) back."""
    session = session_for(viewer).session
    if session.can_undo:
        session.undo()
    else:
        show_info("There is no HoVer-Net run to undo.")


def redo_run(viewer: Viewer) -> None:
    """Bring back the run that was undone."""
    session = session_for(viewer).session
    if session.can_redo:
        session.redo()
    else:
        show_info("There is no HoVer-Net run to redo.")
