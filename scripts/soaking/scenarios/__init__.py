"""The scenarios of `scripts/soak`: each module here is one and offers it as `SCENARIO`; a new file is a new one."""

from __future__ import annotations

import importlib
import pkgutil

from soaking.scenario import Scenario

__all__ = ["all_scenarios"]


def all_scenarios() -> list[Scenario]:
    """All of them, by name."""
    found = [importlib.import_module(f"{__name__}.{module.name}").SCENARIO for module in pkgutil.iter_modules(__path__)]
    return sorted(found, key=lambda scenario: scenario.name)
