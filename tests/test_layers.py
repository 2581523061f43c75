"""Packages import one way: each only from those before it in this list. And the language layer never sees trio."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import datafye_trio

ROOT = Path(datafye_trio.__file__).parent
LAYERS = [
    "errors", "version", "logs", "nurseries", "model", "protocol", "aggregates", "recordings", "sources", "broker",
    "wire", "connection", "server", "client", "relay", "strategy", "testing", "cli",
]  # fmt: skip
TOP = {"__init__", "__main__"}
"""The public names and the entry point stand above all layers."""


def imports(path: Path) -> set[str]:
    """The packages of datafye_trio that a file imports, those only for type checking too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            whole = node.module == "datafye_trio"
            names = [f"datafye_trio.{alias.name}" for alias in node.names] if whole else [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("datafye_trio.")}
    return found


def test_each_package_imports_only_from_those_before_it() -> None:
    seen = set()
    for path in ROOT.rglob("*.py"):
        layer = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if layer in TOP:
            continue
        seen.add(layer)
        allowed = {*LAYERS[: LAYERS.index(layer) + 1]}
        assert imports(path) <= allowed, f"{path.name} of {layer} imports {imports(path) - allowed}"
    assert {"model", "protocol", "sources", "broker", "wire", "connection", "server", "cli"} <= seen


def test_only_wire_imports_trio_websocket() -> None:
    for path in ROOT.rglob("*.py"):
        if "trio_websocket" in path.read_text().replace("trio_websocket`", ""):
            tree = ast.parse(path.read_text())
            modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            assert path.parent.name == "wire" or "trio_websocket" not in modules, path


def test_the_language_never_imports_trio() -> None:
    code = (
        "import importlib.util, sys, types\n"
        "package = types.ModuleType('datafye_trio'); package.__path__ = [sys.argv[1]]\n"
        "sys.modules['datafye_trio'] = package\n"  # without its __init__, which imports everything
        "import datafye_trio.protocol\n"
        "sys.exit('trio' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
