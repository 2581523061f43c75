"""All public names import from `datafye_trio`, and every `__all__` tells the truth."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

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
            "Aggregator", "SmaFold", "EmaFold", "span_of", "Value", "merge_gaps", "EVENT_CHANNELS"}  # fmt: skip
        assert public - internal <= set(datafye_trio.__all__), public - set(datafye_trio.__all__)


@pytest.mark.parametrize("package", ["datafye_trio", "datafye_trio.testing"])
def test_a_stub_tells_the_truth(package: str) -> None:
    loaded = importlib.import_module(package)
    assert loaded.__file__ is not None
    tree = ast.parse(Path(loaded.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    (listed,) = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)]
    names = [alias.name for node in imports for alias in node.names]
    assert sorted(listed) == sorted(names) == sorted(loaded.__all__) == sorted(dir(loaded))
    # A name that a module has, too, would be the module for whoever asks after that has been loaded.
    assert not {module.name for module in pkgutil.iter_modules(loaded.__path__)} & set(names)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = loaded.no_such_name


def test_the_package_itself_loads_nothing_of_weight() -> None:
    code = """if True:
        import sys
        import datafye_trio.testing
        heavy = {"trio", "attr", "msgspec", "cattrs", "structlog", "trio_websocket"} & sys.modules.keys()
        assert not heavy, heavy
        from datafye_trio import *
        from datafye_trio import __all__
        assert open_server.__name__ == "open_server" and {*__all__} <= globals().keys() and "trio" in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_packages_load_in_any_order() -> None:
    """Lazy names mean that the first package asked for is loaded first: none may count on others before it."""
    for first in ("protocol.data_decoder", "cli.run"):
        code = f"import datafye_trio.{first}, datafye_trio.broker, datafye_trio.client"
        subprocess.run([sys.executable, "-c", code], check=True)
