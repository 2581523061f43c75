"""The five steps of a connection, with every frame: connect, subscribe, receive, unsubscribe, disconnect.

    python scripts/examples/lifecycle.py [URL] [SYMBOL]

URL defaults to ws://localhost:8080/datafye-ws/v1/stocks/live/quotes (start a server with `datafye-trio serve`).
Any WebSocket client would do; this one is `websockets`, which is not a part of datafye_trio.
"""

from __future__ import annotations

import json
import sys

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

URL = "ws://localhost:8080/datafye-ws/v1/stocks/live/quotes"


def step(name: str) -> None:
    """Print a heading."""
    print(f"\n# {name}", flush=True)


def receive(client: ClientConnection) -> dict[str, object]:
    """Receive one message, print it, and answer it if it is a heartbeat."""
    frame = client.recv(timeout=60)
    print(f"< {frame!s}", flush=True)
    message: dict[str, object] = json.loads(frame)
    if message["type"] == "heartbeat":
        send(client, {"action": "pong", "timestamp": message["timestamp"]})
    return message


def send(client: ClientConnection, request: dict[str, object]) -> None:
    """Send one request and print it."""
    frame = json.dumps(request)
    print(f"> {frame}", flush=True)
    client.send(frame)


def main(url: str = URL, symbol: str = "AAPL") -> None:
    """Walk through the five steps."""
    step("1. connect")
    with connect(url, compression=None) as client:
        receive(client)  # connected

        step("2. subscribe")
        send(client, {"action": "subscribe", "id": 1, "symbols": [symbol]})
        while receive(client)["type"] != "subscribed":
            pass

        step("3. receive data")
        seen = 0
        while seen < 3:
            seen += receive(client)["type"] == "quote"

        step("4. unsubscribe")
        send(client, {"action": "unsubscribe", "id": 2, "symbols": [symbol]})
        while receive(client)["type"] != "unsubscribed":
            pass

        step("5. disconnect")
        client.close(1000, "done")
        print(f"closed with {client.close_code} {client.close_reason}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, InvalidHandshake, ConnectionClosed) as error:
        sys.exit(f"{sys.argv[1] if len(sys.argv) > 1 else URL}: {error}")
