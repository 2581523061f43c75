"""The load client of the benchmarks: raw sockets in one process, the same for every server. Its first line is a `Job`.

It writes `{"ready": true}` when all clients have subscribed, and then obeys one JSON object a line on stdin, until its
end. To each it says `{"listening": true}` at once, so that whoever gives the orders knows when to have the server
publish, and one more line when every client has received everything:

- `audit`: `count` messages, each frame read and decoded in full (`load_audit`): a warm-up of the server, not a number.
- `burst`: `count` messages; the answer holds `end`, the time at which the last client had the last byte, as
  `time.perf_counter` counts in every process of the machine.
- `times`: `count` messages, one topic; the answer holds percentiles of the latency in milliseconds: from a message's
  stamp to when the last client had it.
- `resume`: each late client subscribes and resumes, all at once; the answer holds `seconds` to the last one's last.
  With `audit` it is a warm-up.

A burst is counted by one byte that each message has once (`load_audit.MARK`), at C speed. Where all want the same, one
client counts and the others are held to its number of bytes, which comes to the same, as each was audited. Counting
takes 75 ns a message (0.4 ns a byte), more than the kernel's copy: with every client counting, the ceiling would be
some 8 million a second, less than the raw contender writes. Every burst checks each client's number of messages (or
bytes), that it ends where a message ends, and the `seq` of that message.

Its own ceiling, measured on the two cores of a Xeon with others at work there: of a core's second it takes 34 to 55
million messages where they come in chunks, beside the raw contender with half of the processor's time of that. Where
each message is a read of its own, as with picows and node, it takes 0.8 to 1.4 million of 100 clients and 0.4 to 0.5
of 1,000, always in less time than the server took to write them; if it does fall behind, reads get longer and cheaper.

What is lost shows as silence, and that is `{"error": ...}`, never a number: 10 seconds without a byte, or a minute.
"""

from __future__ import annotations

import json
import re
import select
import ssl
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from benchmark.load_audit import MARK, Audit, Expected
from benchmark.load_clients import Client, Job, LoadError, connect
from benchmark.payload import symbol_names

__all__ = ["percentiles"]

_SILENCE: Final = 10.0
_DEADLINE: Final = 60.0
_SEQ: Final = re.compile(rb'"seq":(\d+),"symbol":"(\w+)"')
_STAMP: Final = re.compile(rb'"exchangeTimestamp":(\d+)')
_TAIL: Final = 512
"""More than the longest frame."""
_BUFFER: Final = bytearray(1 << 18)
_VIEW: Final = memoryview(_BUFFER)


class Load:
    """All clients, and what they are owed."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._clients = connect(job)
        self._late = self._clients[: job.clients] if job.late else []
        self._listening = self._clients[len(self._late) :]
        self._expected = Expected(job)
        self._poll = select.epoll()
        self._by_number = {client.socket.fileno(): client for client in self._clients}
        for number in self._by_number:
            self._poll.register(number, select.EPOLLIN)

    def audit(self, count: int) -> dict[str, Any]:
        """Check every frame of `count` messages in full, and that no byte comes behind them."""
        self._owe(count)
        self._audit(self._listening)
        return {"frames": sum(client.got for client in self._listening)}

    def burst(self, count: int) -> dict[str, Any]:
        """Receive `count` messages."""
        self._owe(count)
        return self._count(self._listening) | {"frames": sum(client.wanted for client in self._listening)}

    def resume(self, count: int, *, audit: bool = False) -> dict[str, Any]:
        """Have each late client resume the `count` messages of the one order before; with `audit`, check each."""
        epoch = json.loads(self._listening[0].answer)["epoch"]
        symbol = symbol_names(self._job.symbols)[0]
        begin = time.perf_counter()
        for client in self._late:
            # The answer to the request is as long as a message, and is counted with them where bytes are.
            client.got, client.bytes, client.wanted = 0, 0, count if audit else count + 1
            resumption = {"epoch": epoch, "positions": {symbol: 0}}
            client.send(self._job.request(client.number, resume=resumption).encode())
            client.socket.setblocking(False)
        if audit:
            self._audit(self._late)
            return {}
        return {"seconds": self._count(self._late)["end"] - begin, "frames": count * len(self._late)}

    def times(self, count: int) -> dict[str, Any]:
        """Receive `count` messages of one topic and tell how late each was at the last client."""
        self._owe(count)
        if self._job.pongs:
            for client in self._listening:
                client.send(b'{"action":"pong"}')
                client.socket.setblocking(False)
        moments = {client.number: array("q") for client in self._listening}
        witness, stream = self._listening[0], bytearray()

        def take(client: Client, size: int) -> bool:
            now = time.time_ns()
            if client is witness:
                stream.extend(_VIEW[:size])
            client.got += _BUFFER.count(MARK, 0, size)
            # The last message counted is there only if what has come ends with an end; else with the next read.
            whole = client.got - (_BUFFER[size - 1] != 0x7D)
            mine = moments[client.number]
            if whole > len(mine):
                mine.extend([now] * (whole - len(mine)))
            return len(mine) == client.wanted

        self._collect(self._listening, take)
        stamps = [int(found[1]) for found in _STAMP.finditer(stream)]
        if len(stamps) != count:
            raise LoadError(f"{len(stamps):,} stamps came, not {count:,}")
        last = map(max, zip(*moments.values(), strict=True))
        late = [(moment - stamp) / 1e6 for moment, stamp in zip(last, stamps, strict=True)]
        return percentiles(late) | {"span": (stamps[-1] - stamps[0]) / 1e9}

    def _audit(self, clients: Sequence[Client]) -> None:
        audits = {client.number: Audit(client, self._job, self._expected) for client in clients}

        def take(client: Client, size: int) -> bool:
            client.got += audits[client.number].feed(bytes(_VIEW[:size]))
            return client.got == client.wanted and not client.frames.rest

        self._collect(clients, take)
        for client in clients:
            for size in self._sizes(client):
                raise LoadError(f"client {client.number} got {size:,} bytes too many: {bytes(_VIEW[:size])[:200]!r}")

    def _owe(self, count: int) -> None:
        self._expected.order(count)
        for client in self._listening:
            client.got = client.bytes = 0
            client.wanted = sum(map(len, self._expected.topics(client.number).values()))

    def _count(self, clients: Sequence[Client]) -> dict[str, Any]:
        """Receive what is owed to these, by one that counts where all want the same, else by each."""
        witnesses = clients if self._job.basket else clients[:1]
        counting = {client.number for client in witnesses}
        target = 0
        end = 0.0

        def take(client: Client, size: int) -> bool:
            nonlocal target, end
            client.bytes += size
            client.tail = bytes(_VIEW[size - _TAIL : size]) if size >= _TAIL else (client.tail + _VIEW[:size])[-_TAIL:]
            if client.number in counting:
                client.got += _BUFFER.count(MARK, 0, size)
                done = client.got >= client.wanted and _BUFFER[size - 1] == 0x7D
                if done and len(counting) == 1:
                    target = client.bytes
            else:
                done = client.bytes == target
            if done or target:
                end = time.perf_counter()
            return done

        self._collect(witnesses, take)
        # Who was ahead of the witness has all; the others get theirs now, and are measured against it.
        behind = [client for client in clients if client.number not in counting and client.bytes < target]
        self._collect(behind, take)
        for client in clients:
            self._judge(client, target, counted=client.number in counting)
        return {"end": end}

    def _judge(self, client: Client, target: int, *, counted: bool) -> None:
        if counted and client.got != client.wanted:
            raise LoadError(f"client {client.number} got {client.got:,} messages, not {client.wanted:,}")
        if not counted and client.bytes != target:
            raise LoadError(f"client {client.number} got {client.bytes:,} bytes where another got {target:,}")
        if not client.wanted:
            return
        found = _SEQ.findall(client.tail)
        if not found or not client.tail.endswith(b"}"):
            raise LoadError(f"client {client.number} ends in the middle of something: {client.tail!r}")
        topics = [topic for topic in self._expected.topics(client.number) if topic[1] == found[-1][1].decode()]
        lasts = [self._expected.sequences(topic, -1) for topic in topics]
        if not any(int(found[-1][0]) in last for last in lasts):
            raise LoadError(f"client {client.number} ends with {found[-1]}, not with a seq of {lasts}")

    def _collect(self, owed: Sequence[Client], take: Callable[[Client, int], bool]) -> None:
        """Read all clients until `take`, told of each read, has said of each of `owed` that it has all."""
        behind = {client.number for client in owed if client.wanted}
        deadline = time.monotonic() + _DEADLINE
        by_number, poll = self._by_number, self._poll.poll
        while behind:
            events = poll(_SILENCE)
            if not events or time.monotonic() > deadline:
                self._missing(behind)
            for number, _ in events:
                client = by_number[number]
                for size in self._sizes(client):
                    if take(client, size):
                        behind.discard(client.number)

    def _sizes(self, client: Client) -> Iterator[int]:
        """The sizes of what can be read into the buffer now: once, and with TLS until there is nothing left in it."""
        while True:
            try:
                size = client.socket.recv_into(_BUFFER)
            except (ssl.SSLWantReadError, BlockingIOError):
                return
            except OSError as error:
                raise LoadError(f"client {client.number} was disconnected: {error.strerror}") from None
            if not size:
                raise LoadError(f"client {client.number} was disconnected")
            yield size
            if self._job.certificate is None:
                return

    def _missing(self, behind: set[int]) -> None:
        worst = min((client for client in self._clients if client.number in behind), key=lambda client: client.got)
        raise LoadError(
            f"{len(behind)} clients miss something, such as client {worst.number}: counted {worst.got:,} of "
            f"{worst.wanted:,} messages, and {worst.bytes:,} bytes"
        )


def percentiles(values: Sequence[float]) -> dict[str, Any]:
    """The median, p99, p99.9 and the worst, by nearest rank."""
    ordered = sorted(values)
    return {
        name: ordered[max(0, -(-len(ordered) * part // 1000) - 1)]
        for name, part in (("p50", 500), ("p99", 990), ("p99.9", 999), ("worst", 1000))
    }


def main() -> int:
    """Connect, say so, and obey."""
    try:
        load = Load(Job(**json.loads(sys.stdin.readline())))
        _say(ready=True)
        while line := sys.stdin.readline():
            order = json.loads(line)
            _say(listening=True)
            _say(**getattr(load, order.pop("do"))(**order))
    except LoadError as error:
        _say(error=str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main())
