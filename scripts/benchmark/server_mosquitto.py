"""mosquitto over WebSocket as a contender: a topic a symbol, QoS 0, queues without a limit that drops.

The publisher speaks MQTT over TCP, which costs the broker less than WebSocket would.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

from benchmark.serving import Job
from benchmark.serving_broker import Publisher, Stream, free_port, serve
from benchmark.serving_loops import on_asyncio

__all__ = ["missing", "run", "versions"]


def missing() -> str | None:
    """Why it cannot run here; None where it can."""
    return None if _program() else "mosquitto is not installed"


def versions() -> dict[str, str]:
    """Its own."""
    said = subprocess.run([_program(), "-h"], stdout=subprocess.PIPE, text=True, check=False).stdout
    found = re.search(r"version (\S+)", said)
    return {"mosquitto": found[1] if found else "unknown"}


def _program() -> str:
    # Debian puts it where only root has its path.
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin") or ""


def _command(mqtt_port: int, folder: Path, port: int) -> list[str]:
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener {mqtt_port} 127.0.0.1\nlistener {port} 127.0.0.1\nprotocol websockets\nallow_anonymous true\n"
        "persistence false\nmax_queued_messages 0\nset_tcp_nodelay true\nlog_dest stderr\nlog_type error\n"
    )
    return [_program(), "-c", str(configuration)]


async def _connect(mqtt_port: int, _port: int) -> Publisher:
    _, publisher = await _open(mqtt_port, b"out")
    subscriber = await _open(mqtt_port, b"in")
    subscriber[1].write(_packet(0x82, b"\x00\x01\x00\x01#\x00"))
    await subscriber[0].readexactly(5)
    return Publisher(_publish, publisher, subscriber)


async def _open(port: int, name: bytes) -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # MQTT 3.1.1, a clean session, no keep-alive.
    writer.write(_packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2) + name))
    await reader.readexactly(4)
    return reader, writer


def _publish(symbol: str, text: bytes) -> bytes:
    return _packet(0x30, len(symbol).to_bytes(2) + symbol.encode() + text)


def _packet(kind: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([kind]) + length + bytes([size]) + content


def run(job: Job) -> None:
    """Serve until stdin says `quit` or ends."""
    port = free_port()
    on_asyncio(lambda loop: serve(job, loop, partial(_command, port), partial(_connect, port)))
