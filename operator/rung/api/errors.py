"""Every error that Rung raises on purpose, one class per reaction.

RungError               base
  InvalidStudy          the author can mend it: Accepted=False with the field's path, never retried
  Conflict              somebody wrote first: list again, decide again, at once
  ClusterUnavailable    nothing is concluded from it; retried with a capped back-off
  BadObservation        what a trial said makes no sense; harms that trial alone
"""

from __future__ import annotations


class RungError(Exception):
    """Base of every error that Rung raises on purpose."""


class InvalidStudy(RungError):  # noqa: N818 - a Study is what is invalid; the name is part of the contract
    """A Study that cannot run as written.

    field    the path in the user's file: `spec.parameters[2].min`
    message  what is wrong and what to do
    reason   a CamelCase word for the condition: InvalidSpec, NotImplemented, Frozen
    """

    def __init__(self, field: str, message: str, *, reason: str = "InvalidSpec") -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.reason = reason


class Conflict(RungError):  # noqa: N818 - named for what happened
    """Somebody wrote first: list again, decide again, at once."""


class ClusterUnavailable(RungError):  # noqa: N818 - named for what happened
    """The API server could not be asked, or could not answer. Nothing is concluded from it."""


class BadObservation(RungError):  # noqa: N818 - named for what happened
    """What a trial said makes no sense. It harms that trial alone."""
