"""What can go wrong with a development cluster.

DevclusterError     base of all of them
    BuildError      the control plane could not be built
    StartError      a part did not come up, or died; the message ends with its last log lines and says where the rest is
    ApiError        the API server refused a request; carries the HTTP status
"""

from __future__ import annotations


class DevclusterError(Exception):
    """Base of every error that the development cluster raises on purpose."""


class BuildError(DevclusterError):
    """The control plane could not be built; the message says what to do."""


class StartError(DevclusterError):
    """A part of the cluster did not come up or has died; the message holds the last lines of its log."""


class ApiError(DevclusterError):
    """The API server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
