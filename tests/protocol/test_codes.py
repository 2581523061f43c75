"""Error codes and close codes against the tables of protocol.md section 7."""

from __future__ import annotations

import pytest

from datafye_trio.protocol import Advice, CloseCode, ErrorCode

ADVICE = {
    1000: Advice.STOP,
    1001: Advice.RECONNECT,
    1002: Advice.STOP,
    1003: Advice.STOP,
    1007: Advice.STOP,
    1008: Advice.STOP,
    1009: Advice.STOP,
    1011: Advice.RECONNECT,
    1012: Advice.RECONNECT,
    4008: Advice.RESUME,
    4009: Advice.RESUME,
    4013: Advice.RESUME,
    4501: Advice.STOP,
}


@pytest.mark.parametrize(("code", "advice"), ADVICE.items())
def test_advice(code: int, advice: Advice) -> None:
    assert CloseCode(code).advice is advice


def test_the_table_is_whole() -> None:
    assert set(CloseCode) == set(ADVICE)


def test_own_codes_advise_by_their_range() -> None:
    for code in CloseCode:
        if 4000 <= code < 4500:
            assert code.advice is Advice.RESUME
        elif code >= 4500:
            assert code.advice is Advice.STOP


def test_error_codes() -> None:
    assert " ".join(ErrorCode) == (
        "MALFORMED_JSON INVALID_MESSAGE UNKNOWN_ACTION UNKNOWN_CHANNEL UNKNOWN_DATASET UNKNOWN_SYMBOL "
        "CHANNEL_NOT_AVAILABLE INVALID_FREQUENCY NOT_SUBSCRIBED SUBSCRIPTION_LIMIT INVALID_RANGE NO_DATA "
        "RATE_LIMITED INTERNAL"
    )
    assert [code for code in ErrorCode if code.retryable] == [ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL]
