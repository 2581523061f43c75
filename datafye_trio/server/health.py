"""What `/health` says."""

from __future__ import annotations

from typing import Any

from datafye_trio.broker import Broker, Dataset, SourceState
from datafye_trio.server.control import status
from datafye_trio.sources import Controllable
from datafye_trio.sources.positions import Relaying
from datafye_trio.version import __version__

__all__ = ["health"]


def health(broker: Broker, *, uptime: float, now: float, connections: int) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the content: 200 while every source runs and has its data, else 503 with the reason."""
    datasets = [
        {
            "dataset": dataset.info.name,
            "assetClass": dataset.info.asset_class,
            "channels": list(dataset.info.channels),
            "epoch": dataset.epoch,
            "source": dataset.state,
            **({"lateTrades": dataset.derived.late} if dataset.derived is not None else {}),
            **({"replay": status(dataset.source)} if isinstance(dataset.source, Controllable) else {}),
            **({"upstream": dict(dataset.source.upstream)} if isinstance(dataset.source, Relaying) else {}),
            **({"why": dataset.why} if dataset.why else {}),
        }
        for dataset in broker.datasets.values()
    ]
    wrong = [why for dataset in broker.datasets.values() if (why := _what_is_wrong(dataset)) is not None]
    content: dict[str, Any] = {
        "status": "ok" if not wrong else "degraded",
        **({"why": "; ".join(wrong)} if wrong else {}),
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
    return (503 if wrong else 200), content


def _what_is_wrong(dataset: Dataset) -> str | None:
    if dataset.state is not SourceState.RUNNING:
        return f"{dataset.info.name} {dataset.state}: {dataset.why}"
    if isinstance(dataset.source, Relaying) and not dataset.source.connected:
        return f"{dataset.info.name} upstream: {dataset.source.upstream.get('why', 'not connected')}"
    return None
