"""What the results of the cases come to: a table by section, each failed case with its reason, an exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

__all__ = ["SECTIONS", "Result", "failed", "pattern", "patterns_of", "sections_of", "table"]

SECTIONS: Final = {
    1: "framing", 2: "ping, pong", 3: "reserved bits", 4: "opcodes", 5: "fragments", 6: "UTF-8", 7: "close",
    9: "limits, speed", 10: "automatic fragments",
}  # fmt: skip
"""Autobahn's sections; it has no section 8."""
_PATTERN: Final = re.compile(r"(\d+)(\.(\d+|\*)){0,2}")
_FLAT: Final = frozenset({2, 3, 5})
"""Sections of which a case has two numbers, 3.1; elsewhere it has three, 6.4.1."""
_VERDICTS: Final = ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED")


@attrs.frozen
class Result:
    """One case: what of it was seen, and the close. `verdict` is one of the table's columns."""

    case: str
    verdict: str
    why: str
    milliseconds: int

    @classmethod
    def of(cls, line: dict[str, Any]) -> Result:
        """What the judge said. Whatever it did not let pass has failed, unimplemented and unclean ones too."""
        parts = [line["why"]] if line["behavior"] in {"FAILED", "ERROR", "UNIMPLEMENTED"} else []
        if line["close"] not in {"OK", "INFORMATIONAL"}:
            parts.append(f"{line['close']}: {line['why_close']}")
        verdict = line["behavior"] if line["passed"] and line["behavior"] in _VERDICTS else "FAILED"
        return cls(line["case"], verdict, "; ".join(parts), line["milliseconds"])

    @property
    def section(self) -> int:
        """The first number of the case."""
        return int(self.case.partition(".")[0])


def pattern(text: str) -> str:
    """What is given for `--cases`, checked; a part that is no case means all that lies below it.

    Raises:
        ValueError: it is no pattern, or of a section that is not run; the text says which there are.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no pattern of cases: write 6.4.1, 6.4.* or 6.*")
    if int(match[1]) in (12, 13):
        raise ValueError(f"{text}: compression is left out, as permessage-deflate is not offered")
    if int(match[1]) not in SECTIONS:
        raise ValueError(f"{text}: the sections are {', '.join(map(str, SECTIONS))}")
    levels = 2 if int(match[1]) in _FLAT else 3
    return text if "*" in text or text.count(".") == levels - 1 else f"{text}.*"


def sections_of(patterns: Sequence[str]) -> list[int]:
    """The sections that are wanted, in order; all where nothing is given."""
    wanted = {int(each.partition(".")[0]) for each in patterns}
    return [section for section in SECTIONS if not wanted or section in wanted]


def patterns_of(section: int, patterns: Sequence[str]) -> list[str]:
    """What to run of one section."""
    return [each for each in patterns if each.startswith(f"{section}.")] or [f"{section}.*"]


def failed(results: Sequence[Result]) -> list[Result]:
    """The cases for which the exit code is 1."""
    return [result for result in results if result.verdict == "FAILED"]


def table(side: str, results: Sequence[Result], seconds: dict[int, float]) -> str:
    """The verdicts of one side by section, and every failed case with its reason."""
    lines = [f"{side:<26}" + "".join(f"{name:>15}" for name in _VERDICTS) + f"{'seconds':>10}"]
    for section, took in seconds.items():
        mine = [result for result in results if result.section == section]
        lines.append(_row(f"{section:>3}.* {SECTIONS[section]}", mine, took))
    lines.append(_row(f"all {len(results)}", results, sum(seconds.values())))
    lines += [f"FAILED {each.case}: {each.why or 'no reason was given'}" for each in failed(results)]
    return "\n".join(lines)


def _row(name: str, results: Sequence[Result], seconds: float) -> str:
    counts = [sum(result.verdict == verdict for result in results) for verdict in _VERDICTS]
    return f"{name:<26}" + "".join(f"{count:>15}" for count in counts) + f"{seconds:>10.1f}"
