"""What each setting means, in one place: for the help of the flags and the comments of `--print-config`."""

from __future__ import annotations

from typing import Final

__all__ = ["DATASET_MEANINGS", "MEANINGS"]

MEANINGS: Final = {
    "host": "Address to listen on; localhost is 127.0.0.1 and ::1. One that is not loopback needs access.allow.",
    "port": "TCP port; 0 takes any free one.",
    "cert": "PEM file with the certificate chain; makes it wss://. Goes with key.",
    "key": "PEM file with the certificate's private key.",
    "timestamp_unit": "Unit of all timestamps on the wire: ns, us or ms.",
    "memory": "Bytes that all outboxes and rings may take together.",
    "max_topics": "Topics that the server keeps, over all datasets.",
    "handshake_seconds": "Seconds for TLS and the HTTP request together.",
    "close_seconds": "Seconds for a close handshake, then the connection is reset.",
    "drain_seconds": "Seconds that clients get at shutdown to read what waits for them.",
    "access.allow": "Networks (CIDR) that may connect; an empty list is everybody.",
    "access.deny": "Networks (CIDR) that may not connect, whatever access.allow says.",
    "access.trusted_proxies": "Networks (CIDR) of proxies whose X-Forwarded-For is believed.",
    "access.origins": "Web pages (such as https://example.com) whose scripts may connect, besides its own host's.",
    "control.allow": "Networks (CIDR) that may control replays (POST /replay/...), besides loopback.",
    "heartbeat.interval": "Seconds between heartbeats.",
    "heartbeat.timeout": "Seconds that a client has to answer the oldest heartbeat, then it is closed with 4009.",
    "heartbeat.accept": "What answers a heartbeat: pong, only that message; any, every frame that comes in.",
    "outbox.messages": "Messages that may wait for one client.",
    "outbox.bytes": "Bytes that may wait for one client.",
    "outbox.seconds": "Age in seconds that the oldest message waiting for one client may reach.",
    "outbox.policy": "When a client is too slow: disconnect it (4008), or drop_oldest and tell it the gap.",
    "ring.seconds": "Seconds of each topic that are kept for clients that come back.",
    "ring.messages": "Messages of each topic that are kept at least.",
    "ring.bytes": "Bytes that all rings may take together; a part of memory.",
    "requests.topics": "Topics that one connection may subscribe to.",
    "requests.symbols": "Symbols in one request.",
    "requests.rate": "Requests a second of one connection, sustained.",
    "requests.burst": "Requests of one connection at once.",
    "requests.errors": "Refused requests within 10 s that end a connection (4501).",
    "requests.streams": "Streams of stored data that run at once on one connection.",
    "inbound.message_bytes": "Bytes of one message from a client.",
    "inbound.fragments": "Fragments of one message from a client.",
    "inbound.control_rate": "Control frames (ping, pong) a second from a client, sustained.",
    "inbound.control_burst": "Control frames from a client at once.",
    "inbound.frame_rate": "Frames of any kind a second from a client, sustained.",
    "inbound.frame_burst": "Frames of any kind from a client at once.",
    "inbound.write_seconds": "Seconds that one write to a client may take.",
    "inbound.history_write_seconds": "The same on a history path, where a client may read as slowly as it likes.",
    "connections.total": "Connections at once; never more than the file descriptors allow.",
    "connections.per_address": "Connections at once from one address (IPv6: one /64).",
    "connections.rate": "New connections a second from one address.",
    "connections.count_loopback": "Whether loopback is held to the two settings above, too.",
    "on_source_error": "When the source of a dataset crashes: keep serving, or exit with code 1.",
    "log_format": "Log lines on stderr as text (key=value) or json.",
    "log_level": "The least severe log lines to write: debug, info, warning or error.",
}
"""Every setting of a server and of its process, by dotted name."""

DATASET_MEANINGS: Final = {
    "source": "Where the events come from: synthetic, replay or program.",
    "name": "The dataset's name on the wire.",
    "asset_class": "stocks or crypto; by default crypto for the dataset Crypto, else stocks.",
    "symbols": "What is traded; by default the quickstart's ten symbols, or the best known coins.",
    "seed": "Another seed is another market; the same seed gives the same events.",
    "rate": "Events a second for the whole market, or max.",
    "halts": "Now and then trading in one symbol stops and goes on (stocks only).",
    "start_ns": "Where market time begins, in ns since 1970; by default now.",
    "replay": "Tick CSV files (.csv, .csv.gz) or folders of them.",
    "speed": "1 is the pace of the recording, N is N times that, max as fast as clients read.",
    "loop": "Begin again at the end, for ever.",
    "wait_for_client": "Hold the first row until so many topics are subscribed.",
    "channels": "The channels that the program publishes on.",
}
"""Every setting of a dataset, by name."""
