"""All public names import from `datafye_trio`, and every `__all__` tells the truth."""

from __future__ import annotations

import importlib
import pkgutil

import datafye_trio


def test_every_name_of_every_all_exists() -> None:
    for module in pkgutil.walk_packages(datafye_trio.__path__, "datafye_trio."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        for name in getattr(loaded, "__all__", ()):
            assert hasattr(loaded, name), f"{module.name}.{name}"


def test_the_public_names() -> None:
    assert sorted(datafye_trio.__all__) == sorted(set(datafye_trio.__all__))
    for name in ("open_server", "ServerConfig", "Quote", "Trade", "Synthetic", "Replay", "Program", "DatafyeError"):
        assert name in datafye_trio.__all__
    for package in ("model", "aggregates", "sources", "errors", "server", "client"):
        public = set(importlib.import_module(f"datafye_trio.{package}").__all__)
        internal = {"QUICKSTART_SYMBOLS", "CRYPTO_SYMBOLS", "NOTIONAL_RATE", "BATCH", "LIVE_GRACE", "Accumulator",
            "Aggregator", "SmaFold", "EmaFold", "span_of", "Value", "merge_gaps"}  # fmt: skip
        assert public - internal <= set(datafye_trio.__all__), public - set(datafye_trio.__all__)
