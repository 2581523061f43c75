"""Clients that others wrote, each as its own documentation has it: they subscribe, note what comes, and answer or not.

Each is a function that blocks until its connection has ended, to be run in a thread: of the asyncio ones each has a
loop there.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import attrs
import picows
import trio
import websocket
import websockets.asyncio.client
import websockets.sync.client
import websockets.trio.client
from websockets.exceptions import ConnectionClosed

SUBSCRIBE = json.dumps({"action": "subscribe", "channel": "trades", "symbols": ["AAPL"]})


@attrs.define
class Told:
    """What one client was told: prices of trades, how many heartbeats, and the code of the close."""

    answers: bool
    prices: list[float] = attrs.field(factory=list)
    heartbeats: int = 0
    code: int | None = None

    def hear(self, text: str | bytes) -> str | None:
        """Note a message; what is to be answered, if anything."""
        message: dict[str, Any] = json.loads(text)
        if message["type"] == "trade":
            self.prices.append(message["tradePrice"])
        if message["type"] != "heartbeat":
            return None
        self.heartbeats += 1
        return json.dumps({"action": "pong", "timestamp": message["timestamp"]}) if self.answers else None


def websockets_sync(url: str, told: Told) -> None:
    with websockets.sync.client.connect(url) as client:
        client.send(SUBSCRIBE)
        try:
            while True:
                if answer := told.hear(client.recv()):
                    client.send(answer)
        except ConnectionClosed:
            told.code = client.close_code


def websockets_asyncio(url: str, told: Told) -> None:
    async def main() -> None:
        async with websockets.asyncio.client.connect(url) as client:
            await client.send(SUBSCRIBE)
            try:
                while True:
                    if answer := told.hear(await client.recv()):
                        await client.send(answer)
            except ConnectionClosed:
                told.code = client.close_code

    asyncio.run(main())


def websockets_trio(url: str, told: Told) -> None:
    async def main() -> None:
        async with websockets.trio.client.connect(url) as client:
            await client.send(SUBSCRIBE)
            try:
                while True:
                    if answer := told.hear(await client.recv()):
                        await client.send(answer)
            except ConnectionClosed:
                told.code = client.close_code

    trio.run(main)


def aiohttp_client(url: str, told: Told) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as client:
            await client.send_str(SUBSCRIBE)
            async for message in client:
                if answer := told.hear(message.data):
                    await client.send_str(answer)
            told.code = client.close_code
        await asyncio.sleep(0)  # as its documentation has it, so that the transport closes

    asyncio.run(main())


def websocket_client(url: str, told: Told) -> None:
    def on_message(app: websocket.WebSocketApp, text: str) -> None:
        if answer := told.hear(text):
            app.send(answer)

    def on_close(_: websocket.WebSocketApp, code: int, __: str) -> None:
        told.code = code

    opened: list[websocket.WebSocket] = []

    def on_open(app: websocket.WebSocketApp) -> None:
        opened.append(app.sock)
        app.send(SUBSCRIBE)

    websocket.WebSocketApp(url, on_open=on_open, on_message=on_message, on_close=on_close).run_forever()
    opened[0].shutdown()  # its version 1.9 leaves the socket open where the server has closed


class PicowsListener(picows.WSListener):
    def __init__(self, told: Told) -> None:
        self._told = told

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        transport.send(picows.WSMsgType.TEXT, SUBSCRIBE.encode())

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.CLOSE:
            self._told.code = int(frame.get_close_code())
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == picows.WSMsgType.TEXT and (answer := self._told.hear(frame.get_payload_as_bytes())):
            transport.send(picows.WSMsgType.TEXT, answer.encode())


def picows_client(url: str, told: Told) -> None:
    async def main() -> None:
        transport, _ = await picows.ws_connect(lambda: PicowsListener(told), url)
        await transport.wait_disconnected()

    asyncio.run(main())


NODE_PROGRAM = """
const [url, answers, subscribe] = process.argv.slice(-3)
const Socket = globalThis.WebSocket ?? require('ws')
const client = new Socket(url)
client.onopen = () => client.send(subscribe)
client.onmessage = ({ data }) => {
  console.log(data)
  const message = JSON.parse(data)
  if (message.type === 'heartbeat' && answers === 'true')
    client.send(JSON.stringify({ action: 'pong', timestamp: message.timestamp }))
}
client.onclose = ({ code }) => console.log(JSON.stringify({ type: 'end', code }))
"""
NODE_FLAG = "--experimental-websocket"
"""Needed by Node 20, where its own WebSocket is new; later ones take it, too."""


def node(url: str, told: Told) -> None:
    """Node's own WebSocket, or `ws`. Its numbers are floats: the stamp that it sends back is not the one that came."""
    command = ["node", NODE_FLAG, "-e", NODE_PROGRAM, "--", url, str(told.answers).lower(), SUBSCRIBE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            message = json.loads(line)
            if message["type"] == "end":
                told.code = message["code"]
            else:
                told.hear(line)


def node_has_websocket() -> bool:
    """Whether there is a Node here, and it has a WebSocket of its own, or `ws` is installed."""
    if shutil.which("node") is None:
        return False
    asked = [NODE_FLAG, "-e", "globalThis.WebSocket ?? require('ws')"]
    return subprocess.run(["node", *asked], capture_output=True, check=False, timeout=20).returncode == 0


Client = Callable[[str, Told], None]
CLIENTS: list[Client] = [
    websockets_sync, websockets_asyncio, websockets_trio, aiohttp_client, websocket_client, picows_client, node,
]  # fmt: skip


@contextmanager
def running(client: Client, url: str, *, answers: bool) -> Iterator[tuple[Told, Callable[[], None]]]:
    """Run a client in a thread; what it is told, and a call that waits for its end and raises what it raised."""
    told, raised = Told(answers), []

    def run() -> None:
        try:
            client(url, told)
        except Exception as error:
            raised.append(error)

    def ended() -> None:
        thread.join(10)
        assert not thread.is_alive(), "the client goes on, although its connection has ended"
        for error in raised:
            raise error

    thread = threading.Thread(target=run, name=client.__name__, daemon=True)
    thread.start()
    yield told, ended
