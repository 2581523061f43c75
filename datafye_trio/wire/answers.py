"""What an HTTP answer other than the hoped-for one means: an error with its status, and when to come back."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

import attrs
import h11

from datafye_trio.errors import ConnectError

__all__ = ["Answer", "answer_of", "first_line", "is_retryable", "parse_answer", "refusal"]

_COME_BACK: Final = frozenset({408, 425, 429})
_TEXT: Final = 200
_LONGEST: Final = 86_400.0
"""Seconds: nobody means more than a day, and a clock that is wrong may say years."""


@attrs.frozen
class Answer:
    """The head of an HTTP answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]

    @property
    def retry_after(self) -> float | None:
        """The seconds that `Retry-After` asks for; of a date, by the server's own clock if it shows it."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text), _LONGEST)
        until = _timestamp(text)
        if until is None:
            return None
        now = _timestamp(self.headers.get("date", ""))
        return min(max(until - (time.time() if now is None else now), 0.0), _LONGEST)


def parse_answer(head: bytes) -> Answer | None:
    """The first answer in these bytes; None where they are not the whole head of one."""
    parser = h11.Connection(h11.CLIENT)
    # Without it h11 would not hear of a 101.
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x"), ("Upgrade", "websocket")]))
    try:
        parser.receive_data(head)
        event = parser.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        return None
    return answer_of(event)


def answer_of(event: h11.Response | h11.InformationalResponse) -> Answer:
    """What h11 has read."""
    return Answer(event.status_code, {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers})


def refusal(who: str, answer: Answer, body: bytes = b"") -> ConnectError:
    """The error of a status that is not 101. A redirect is not followed: it names another server than was asked for."""
    why = first_line(body.decode("utf-8", "replace"))
    location = answer.headers.get("location")
    if 300 <= answer.status < 400 and location:
        why = f"it has moved to {first_line(location)}"
    return ConnectError(
        f"{who} answered HTTP {answer.status}{f': {why}' if why else ''}",
        kind="status",
        status=answer.status,
        retry_after=answer.retry_after,
        retryable=is_retryable(answer.status),
    )


def is_retryable(status: int) -> bool:
    """Whether the same request may be answered otherwise later."""
    return status >= 500 or status in _COME_BACK


def _timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def first_line(text: str) -> str:
    """The first line of what a stranger wrote, fit for ours."""
    first = next((line for line in text.splitlines() if line.strip()), "").strip()
    return "".join(character if character.isprintable() else "?" for character in first[:_TEXT])
