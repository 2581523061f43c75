"""A server of protocol.md, section 5 above all, as lists and sets: one connection, and a wire that tests can cut."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import Any, TypeAlias

import attrs

Key: TypeAlias = tuple[str, str]
"""Channel and symbol."""
BOGUS = "NONE"
"""A symbol that this server does not have."""


@attrs.define
class Numbers:
    """One topic: what was published, of which the ring holds what comes after `floor`."""

    head: int = 0
    floor: int = 0


@attrs.frozen
class Expired:
    """An `expired` gap that was sent, and what the ring did not hold then."""

    key: Key
    epoch: str
    first: int
    last: int
    floor: int


@attrs.define
class Server:
    """`to_client` and `to_server` are what is under way; what is told stays in order."""

    limits: dict[str, int] = attrs.Factory(dict)
    epoch: int = 1
    topics: dict[Key, Numbers] = attrs.Factory(lambda: defaultdict(Numbers))
    connected: bool = False
    sent: set[Key] = attrs.Factory(set)
    """Topics that the connection is subscribed to."""
    stars: set[str] = attrs.Factory(set)
    excluded: set[Key] = attrs.Factory(set)
    to_client: deque[str] = attrs.Factory(deque)
    to_server: deque[str] = attrs.Factory(deque)
    expired: list[Expired] = attrs.Factory(list)
    busy: bool = False
    """Whether the next request is put off."""
    requests: int = 0

    # What happens.

    def connect(self) -> None:
        self.connected = True
        offer = {"dataset": "SIP", "assetClass": "stocks", "epoch": f"e{self.epoch}"}
        offer |= {"channels": ["trades", "quotes"], "frequencies": []}
        self.tell(
            type="connected",
            connectionId="1",
            protocol=1,
            timestampUnit="ns",
            heartbeatInterval=10.0,
            heartbeatTimeout=30.0,
            datasets=[offer],
            limits=self.limits,
            timestamp=1,
        )

    def cut(self) -> None:
        self.connected = False
        for kept in (self.sent, self.stars, self.excluded, self.to_client, self.to_server):
            kept.clear()

    def publish(self, key: Key, *, skip: bool = False, repeat: bool = False) -> None:
        """One message more; by mistake not sent, or twice. The first is sent: nobody could tell that it was not."""
        numbers = self.topics[key]
        skip = skip and numbers.head > 0
        numbers.head += 1
        if key[0] in self.stars and key not in self.excluded:
            self.sent.add(key)
        if key in self.sent:
            for _ in range(0 if skip else 2 if repeat else 1):
                self.tell_data(key, numbers.head)

    def shrink(self, key: Key, keep: int) -> None:
        """The ring forgets all but the newest."""
        if key in self.topics:
            self.topics[key].floor = max(self.topics[key].floor, self.topics[key].head - keep)

    def renew(self) -> None:
        """The numbering begins anew, as with a relay: the connection is told."""
        self.epoch += 1
        for key, numbers in self.topics.items():
            numbers.head = numbers.floor = 0
            if key in self.sent:
                self.tell_gap(key, "epoch_changed")

    def serve(self) -> None:
        """Answer the next request."""
        text = self.to_server.popleft()
        assert len(text) <= self.limits.get("requestBytes", 128 * 1024)
        fields = json.loads(text)
        if fields["action"] == "pong":
            return
        self.requests += 1
        (channel,) = fields["channels"]
        assert 0 < len(fields["symbols"]) <= self.limits.get("symbolsPerRequest", 10_000)
        assert len(fields.get("except", ())) <= self.limits.get("symbolsPerRequest", 10_000)
        if self.busy:
            self.busy = False
            self.tell(type="error", code="RATE_LIMITED", message="later", retryable=True, id=fields["id"])
        elif fields["action"] == "subscribe":
            self._subscribe(channel, fields)
        else:
            self._unsubscribe(channel, fields)

    # What is said.

    def tell(self, **fields: Any) -> None:
        if self.connected:
            self.to_client.append(json.dumps(fields))

    def tell_data(self, key: Key, seq: int, **more: Any) -> None:
        self.tell(**data(key, self.epoch, seq), **more)

    def tell_gap(self, key: Key, reason: str, **more: int) -> None:
        address = {"dataset": "SIP", "assetClass": "stocks", "channel": key[0], "symbol": key[1]}
        self.tell(type="gap", **address, epoch=f"e{self.epoch}", reason=reason, **more)

    def _answer(self, kind: str, channel: str, fields: dict[str, Any], symbols: list[str], **more: Any) -> None:
        answer = {"dataset": "SIP", "assetClass": "stocks", "channels": [channel], "symbols": symbols}
        self.tell(type=kind, id=fields["id"], epoch=f"e{self.epoch}", total=len(self.sent), **answer, **more)

    def _subscribe(self, channel: str, fields: dict[str, Any]) -> None:
        resume = fields.get("resume")
        named: dict[str, int] = resume["positions"] if resume else {}
        everything = fields["symbols"] == ["*"]
        if everything:
            symbols = [*dict.fromkeys([*(name for at, name in self.topics if at == channel), *named])]
            self.stars.add(channel)
            self.excluded = {key for key in self.excluded if key[0] != channel}
        else:
            assert set(named) <= set(fields["symbols"])
            symbols = [symbol for symbol in fields["symbols"] if symbol != BOGUS]
        keys = [(channel, symbol) for symbol in symbols if symbol != BOGUS]
        fresh = [key for key in keys if key not in self.sent]
        self.sent.update(keys)
        self.excluded.difference_update(keys)
        positions = {} if resume else {"positions": {channel: {key[1]: self.topics[key].head for key in keys}}}
        if everything or symbols:
            self._answer("subscribed", channel, fields, ["*"] if everything else symbols, **positions)
        if BOGUS in fields["symbols"]:
            what = {"code": "UNKNOWN_SYMBOL", "message": "there is none", "symbols": [BOGUS], "retryable": False}
            self.tell(type="error", id=fields["id"], **what)
        for key in fresh:
            after = named.get(key[1], 0 if everything and resume else None)
            if after is not None:
                self._resume(key, resume["epoch"], after, known=key[1] in named)
            elif fields.get("snapshot"):
                self._snapshot(key)

    def _resume(self, key: Key, epoch: str, after: int, *, known: bool) -> None:
        numbers = self.topics[key]
        if not known and not numbers.head:
            return
        if epoch != f"e{self.epoch}" or after > numbers.head:
            self.tell_gap(key, "epoch_changed")
            self._snapshot(key)
        elif after < numbers.floor:
            self.expired.append(Expired(key, epoch, after + 1, numbers.head, numbers.floor))
            self.tell_gap(key, "expired", **{"from": after + 1, "to": numbers.head})
            self._snapshot(key)
        else:
            for seq in range(after + 1, numbers.head + 1):
                self.tell_data(key, seq)

    def _snapshot(self, key: Key) -> None:
        if head := self.topics[key].head:
            self.tell_data(key, head, snapshot=True)

    def _unsubscribe(self, channel: str, fields: dict[str, Any]) -> None:
        if fields["symbols"] == ["*"]:
            keep = {(channel, symbol) for symbol in fields.get("except", ())}
            self.sent = {key for key in self.sent if key[0] != channel or key in keep}
            self.stars.discard(channel)
            self.excluded = {key for key in self.excluded if key[0] != channel}
        else:
            keys = {(channel, symbol) for symbol in fields["symbols"]}
            self.sent -= keys
            if channel in self.stars:
                self.excluded |= keys
        self._answer("unsubscribed", channel, fields, fields["symbols"])


def data(key: Key, epoch: int, seq: int) -> dict[str, Any]:
    """A data message that says by itself which one it is: its epoch is its time, its seq its size."""
    envelope = {"symbol": key[1], "dataset": "SIP", "assetClass": "stocks", "seq": seq, "exchangeTimestamp": epoch}
    if key[0] == "trades":
        return {
            "type": "trade",
            **envelope,
            "exchangeID": "X",
            "tradeID": str(seq),
            "tradePrice": 1.0,
            "tradeSize": seq,
        }
    sides = {"bidExchangeID": "X", "bidPrice": 1.0, "askExchangeID": "X", "askPrice": 1.0, "askSize": 1}
    return {"type": "quote", **envelope, **sides, "bidSize": seq}
