"""Requests that get no scores, and how each is answered."""

from __future__ import annotations


class Refusal(Exception):
    """A request that gets no scores.

    Attributes:
        status: of the HTTP answer.
        code: one word for programs.
        detail: one sentence for people; never holds an answer's text.
        retry_after: seconds after which it may go better, ``None`` when it will not.
    """

    status = 500
    code = "error"

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class Conflict(Refusal):
    """Answers that do not fit the group they name."""

    status, code = 409, "group_conflict"


class TooLarge(Refusal):
    """A limit of size is exceeded."""

    status, code = 413, "too_large"


class Invalid(Refusal):
    """The body is not what the route takes."""

    status, code = 422, "invalid"


class QueueFull(Refusal):
    """More answers than the server holds at one time."""

    status, code = 429, "queue_full"


class Unavailable(Refusal):
    """Nothing can be scored now: the worker keeps dying, the server stops, or time is up."""

    status, code = 503, "unavailable"


def stops() -> Unavailable:
    """The refusal of a server that stops; another may stand in its place after some seconds."""
    return Unavailable("the server stops", 5)
