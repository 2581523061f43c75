"""The command line, called in this process."""

from __future__ import annotations

import os
import re

import pytest

from datafye_trio.cli.main import main


class Terminal:
    """Runs command lines in an environment without settings of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._patch = patch
        for name in [name for name in os.environ if name.startswith("DATAFYE_TRIO_")]:
            patch.delenv(name)

    def run(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        with self._patch.context() as patch:
            for name, value in environ.items():
                patch.setenv(f"DATAFYE_TRIO_{name}", value)
            code = main(arguments)
        return code, *self._capsys.readouterr()

    def complain(self, *arguments: str, **environ: str) -> str:
        """The one line that a wrong command line gets, exit code 2 included."""
        code, out, err = self.run(*arguments, **environ)
        assert (code, out) == (2, "")
        line = re.fullmatch(r"datafye-trio: (.+)\n", err)
        assert line, err
        return line[1]
