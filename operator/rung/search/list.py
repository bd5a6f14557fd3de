"""Exactly the enqueued points: nothing of its own."""

from __future__ import annotations

from rung.search.protocol import Proposal, Request


class ListSampler:
    """Has nothing to add to the points of `warmStart`, which `WithEnqueued` serves."""

    learns = False

    def propose(self, request: Request) -> Proposal | None:  # noqa: ARG002 - the same answer to every question
        """None: the study ends with its last enqueued point."""
        return None
