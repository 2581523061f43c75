"""Starts a script: `_start.py MODULE ARGUMENT...` runs the `main` of a module beside it; its answer is the exit code.

Importing takes a second or more, amid which Python would answer Ctrl-C with a traceback: until `main` begins, it ends
the process at once, without a word. From then on it is a KeyboardInterrupt, and so are SIGTERM and the end of the
terminal, so that processes and temporary folders go whichever it was. What is ignored, as by `nohup`, stays so.
"""

import os
import signal
import sys
from importlib import import_module

_INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Import the module and run it."""
    del sys.argv[0]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which `python -I` leaves out
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    module = import_module(sys.argv[0])
    try:
        if heard:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _hear(signal.SIGTERM)
            _hear(signal.SIGHUP)
        code: int = module.main()
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _hear(number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


if __name__ == "__main__":
    sys.exit(main())
