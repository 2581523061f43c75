"""What `/health` says."""

from __future__ import annotations

from typing import Any

from datafye_trio.broker import Broker, SourceState
from datafye_trio.server.control import status
from datafye_trio.sources import Controllable
from datafye_trio.version import __version__

__all__ = ["health"]


def health(broker: Broker, *, uptime: float, now: float, connections: int) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the content: 200 while every source runs, 503 with the reason once one has stopped."""
    datasets = [
        {
            "dataset": dataset.info.name,
            "assetClass": dataset.info.asset_class,
            "channels": list(dataset.info.channels),
            "epoch": dataset.epoch,
            "source": dataset.state,
            **({"lateTrades": dataset.derived.late} if dataset.derived is not None else {}),
            **({"replay": status(dataset.source)} if isinstance(dataset.source, Controllable) else {}),
            **({"why": dataset.why} if dataset.why else {}),
        }
        for dataset in broker.datasets.values()
    ]
    stopped = [d for d in broker.datasets.values() if d.state is not SourceState.RUNNING]
    content: dict[str, Any] = {
        "status": "ok" if not stopped else "degraded",
        **({"why": "; ".join(f"{d.info.name} {d.state}: {d.why}" for d in stopped)} if stopped else {}),
        "version": __version__,
        "uptimeSeconds": round(uptime, 3),
        "connections": connections,
        "topics": broker.topic_count(),
        "ringReachSeconds": round(broker.store.reach(now), 3),
        "memory": {
            "ringBytes": broker.store.bytes,
            "outboxBytes": broker.budget.used,
            "budgetBytes": broker.config.memory,
        },
        "datasets": datasets,
    }
    return (503 if stopped else 200), content
