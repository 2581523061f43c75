"""nginx with nchan as a contender: one process, WebSocket subscribers, and a publisher over WebSocket.

A subscriber is at `/sub/SYMBOL`, so one connection has one symbol, and there is no `mixed`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmark.payload import symbol_names
from benchmark.serving import Job
from benchmark.serving_broker import WINDOW, Publisher, Stream, serve
from benchmark.serving_loops import on_asyncio

__all__ = ["missing", "run", "versions"]


def missing() -> str | None:
    """Why it cannot run here; None where it can."""
    if not _program():
        return "nginx is not installed"
    if _module() is None and "nchan" not in _said():
        return "nginx has no nchan module"
    return None


def versions() -> dict[str, str]:
    """That of nginx; the module tells none."""
    found = re.search(r"nginx/(\S+)", _said())
    return {"nginx": found[1] if found else "unknown"}


def _program() -> str:
    # Debian puts it where only root has its path.
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or ""


def _said() -> str:
    return subprocess.run([_program(), "-V"], stderr=subprocess.PIPE, text=True, check=False).stderr


def _module() -> Path | None:
    found = re.search(r"--modules-path=(\S+)", _said())
    path = Path(found[1] if found else "/usr/lib/nginx/modules") / "ngx_nchan_module.so"
    return path if path.is_file() else None


def _command(folder: Path, port: int) -> list[str]:
    module = _module()
    folders = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""{f"load_module {module};" if module else ""}
daemon off;
master_process off;
{"user root;" if os.geteuid() == 0 else ""}
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    {folders}
    nchan_shared_memory_size 256M;
    nchan_message_buffer_length {4 * WINDOW};
    nchan_message_timeout 0;
    tcp_nodelay on;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location ~ ^/sub/(\\w+)$ {{
            nchan_subscriber websocket; nchan_channel_id $1; nchan_subscriber_first_message newest;
        }}
        location ~ ^/pub/(\\w+)$ {{ nchan_publisher websocket; nchan_channel_id $1; }}
    }}
}}
"""
    )
    return [_program(), "-p", str(folder), "-c", str(configuration), "-e", "stderr"]


async def _connect(port: int) -> Publisher:
    symbol = symbol_names(1)[0]
    answers, publisher = await _open(port, f"/pub/{symbol}")
    connected = Publisher(_frame, publisher, await _open(port, f"/sub/{symbol}"))
    # One answer a message: it must not wait in a socket's buffer.
    connected.tasks.append(asyncio.create_task(_drop(answers)))
    return connected


async def _drop(answers: asyncio.StreamReader) -> None:
    while await answers.read(65_536):
        pass


async def _open(port: int, path: str) -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head:
        raise SystemExit(f"nginx did not let the publisher in: {head.decode(errors='replace')!r}")
    return reader, writer


def _frame(_symbol: str, text: bytes) -> bytes:
    # Masked with zeros, which costs nothing.
    return b"\x81\xfe" + len(text).to_bytes(2) + bytes(4) + text


def run(job: Job) -> None:
    """Serve until stdin says `quit` or ends."""
    on_asyncio(lambda loop: serve(job, loop, _command, _connect))
