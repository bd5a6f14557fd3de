"""What the API server answers when it does not do what was asked, one class per reaction.

KubeError                   base: verb, resource, namespace, name, HTTP code, the server's reason and message
  NotFound                  404: it is gone, or never was
  AlreadyExists             409 on a create: look whose it is
  Conflict                  409: somebody wrote first, or the UID is another's: list again, decide again
  Gone                      410: a resourceVersion or a page is too old: list again from the start
  Forbidden                 403: a right is missing, a quota is full, or admission refuses
  Invalid                   400, 413, 422: the object is wrong; never retried as it is. `causes` name the fields
  ClusterUnavailable        5xx, no connection, no answer in time: nothing is concluded from it, not even that it was
  not done
    TooManyRequests         429: not before `retry_after` seconds
    Unauthorized            401: the credentials are not accepted (they were read anew and tried once more)

Conflict and ClusterUnavailable are those of `rung.api.errors`, so that a caller that knows no cluster can still react.
"""

# ruff: noqa: N818 - named for what has happened, as in rung.api.errors
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rung.api import errors

DEFAULT_RETRY_AFTER = 1.0  # what the API server's own priority and fairness asks for
MESSAGE_LIMIT = 1024  # a body that is no Status may be a proxy's whole page


class KubeError(errors.RungError):
    """A request to the API server that did not succeed."""

    def __init__(
        self,
        message: str,
        *,
        verb: str = "",
        resource: str = "",
        namespace: str | None = None,
        name: str | None = None,
        code: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float = DEFAULT_RETRY_AFTER,
    ) -> None:
        place = "/".join(part for part in (resource, namespace, name) if part)
        super().__init__(f"{verb} {place}: {message}" if verb else message)
        self.message = message
        self.verb = verb
        self.resource = resource
        self.namespace = namespace
        self.name = name
        self.code = code
        self.reason = reason
        self.causes = causes
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object: metav1.StatusCause."""

    field: str
    message: str


class NotFound(KubeError):
    """The object does not exist."""


class AlreadyExists(KubeError):
    """An object of that name exists."""


class Conflict(KubeError, errors.Conflict):
    """Somebody wrote first, or the UID in the preconditions is not that of the object."""


class Gone(KubeError):
    """A resourceVersion or a continue token is too old."""


class Forbidden(KubeError):
    """A right is missing (the message names verb and resource), a quota is full, or admission refuses."""

    @property
    def quota_exceeded(self) -> bool:
        """A full quota, not a missing right. The API has no code for it: the text is the quota plugin's own."""
        return "exceeded quota" in self.message


class Invalid(KubeError):
    """The object is wrong in itself."""


class ClusterUnavailable(KubeError, errors.ClusterUnavailable):
    """No answer, or none that says anything."""


class TooManyRequests(ClusterUnavailable):
    """The server asks for patience."""


class Unauthorized(ClusterUnavailable):
    """The credentials are not accepted."""


def error_of(
    code: int,
    body: Mapping[str, Any] | str,
    *,
    verb: str,
    resource: str,
    namespace: str | None,
    name: str | None,
    retry_after: str | None = None,
) -> KubeError:
    """The error of a response with status `code`; `body` is its metav1.Status, or whatever text came instead."""
    status: Mapping[str, Any] = body if isinstance(body, Mapping) else {"message": body[:MESSAGE_LIMIT]}
    reason = str(status.get("reason") or "")
    details: Mapping[str, Any] = status.get("details") or {}
    seconds = details.get("retryAfterSeconds") or _seconds(retry_after) or DEFAULT_RETRY_AFTER
    return _class_of(code, reason)(
        str(status.get("message") or f"HTTP {code}"),
        verb=verb,
        resource=resource,
        namespace=namespace,
        name=name,
        code=code,
        reason=reason,
        causes=tuple(
            Cause(str(cause.get("field") or ""), str(cause.get("message") or ""))
            for cause in details.get("causes") or ()
        ),
        retry_after=float(seconds),
    )


def _class_of(code: int, reason: str) -> type[KubeError]:
    if code == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if code >= 500:
        return ClusterUnavailable
    return {
        400: Invalid,
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        410: Gone,
        413: Invalid,
        422: Invalid,
        429: TooManyRequests,
    }.get(code, KubeError)


def _seconds(text: str | None) -> float:
    """Retry-After in seconds; its other form, a date, is not used by API servers."""
    return float(text) if text is not None and text.isdecimal() else 0.0
