"""All targets by name, and their committed seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fuzzing import target_client, target_feed, target_files, target_http, target_server, target_text, target_wire
from fuzzing.checking import Target

__all__ = ["CORPUS", "TARGETS", "seeds_of"]

CORPUS: Final = Path(__file__).resolve().parents[2] / "tests" / "corpus"
TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (target_wire, target_server, target_client, target_feed, target_http, target_text, target_files)
    for target in module.TARGETS
}


def seeds_of(name: str) -> list[bytes]:
    """The committed inputs of a target, by name of file."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
