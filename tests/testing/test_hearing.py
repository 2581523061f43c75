"""What a dialect is about to strip, and who hears it before."""

from __future__ import annotations

import json

from datafye_trio.testing.dialect import Dialect
from datafye_trio.testing.hearing import hearing

PATH = "/datafye-ws/v1/stocks/live/quotes"


def said(**message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def test_answers_are_heard_in_full_and_all_goes_on_as_the_dialect_has_it() -> None:
    heard: list[tuple[str, bytes]] = []
    dialect = hearing(lambda name, payload: heard.append((name, payload)))(PATH)
    plain = Dialect(PATH)
    answer = said(type="subscribed", dataset="SIP", assetClass="stocks", channels=["quotes"], symbols=["AAPL"])
    gone = said(type="unsubscribed", dataset="SIP", assetClass="stocks", channels=["quotes"], symbols=["AAPL"])
    quote = said(type="quote", assetClass="stocks", symbol="AAPL", bidPrice=1.0)
    for payload in (
        said(type="connected", connectionId="c7"),
        answer,
        quote,
        gone,
        said(type="heartbeat", timestamp=1),
    ):
        assert dialect.from_server(payload) == plain.from_server(payload)
    assert heard == [("c7", answer), ("c7", gone)]
