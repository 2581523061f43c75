"""A program for the Python of `.venv-conformance`: kosoku runs Autobahn's cases, and each result is a JSON line.

`judging.py server PORT PATTERN...` connects to a server on this machine; `judging.py client 0 PATTERN...` is a server,
which says its port (`{"port": 1234}`) and has finished when its client asks for `/updateReports`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

# By name, as the environment of the checks has no kosoku.
kosoku: Any = importlib.import_module("kosoku")


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def _judge(side: str, port: int, patterns: list[str]) -> list[Any]:
    if side == "server":
        return list(await kosoku.run_fuzzingclient(f"ws://127.0.0.1:{port}", patterns))
    async with kosoku.run_fuzzingserver(patterns, host="127.0.0.1", port=port) as server:
        _say(port=server.port)
        return list(await server.get_result())


def main() -> None:
    """Run the cases that match; a failed one is a result like any other."""
    side, port, *patterns = sys.argv[1:]
    try:
        results = asyncio.run(_judge(side, int(port), patterns))
    except kosoku.FailureError as failure:
        results = failure.results
    for result in results:
        _say(
            case=result.case_id,
            passed=result.passed,
            behavior=result.behavior.value,
            close=result.behavior_close.value,
            why=result.result,
            why_close=result.result_close,
            milliseconds=result.duration,
        )
    _say(done=True)


if __name__ == "__main__":
    main()
