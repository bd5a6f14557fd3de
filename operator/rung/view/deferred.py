"""A live view that waits for the first trials: what it needs takes longer to import than a trial to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rung.view.shown import Look

if TYPE_CHECKING:
    from rung.view.live import LiveView


class DeferredLiveView:
    """`LiveView`, imported once there is something to see."""

    def __init__(self) -> None:
        self._view: LiveView | None = None
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """One line above the picture; kept until there is one."""
        if self._view is None:
            self._notes.append(text)
        else:
            self._view.note(text)

    def look(self, look: Look) -> None:
        """After every round; the first has started the first trials."""
        if self._view is None:
            from rung.view.live import LiveView  # noqa: PLC0415

            self._view = LiveView()
            for text in self._notes:
                self._view.note(text)
        self._view.look(look)

    def close(self) -> None:
        """Take the picture away."""
        if self._view is not None:
            self._view.close()

    def conclude(self) -> None:
        """The last word."""
        if self._view is not None:
            self._view.conclude()
