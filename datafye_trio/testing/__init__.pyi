from .audience import OpenConnection
from .bridge import StuckError
from .builders import START, bar, ema, halt, quote, resume, sma, trade
from .conditions import Conditions
from .cuts import Cut, CutAfter, Direction, Plan, RandomCuts, scripted
from .expectations import Expectation, ExpectationError
from .fault import Fault
from .faults import Faults
from .log import Entry, Log
from .numbering import NumberedConfig, NumberedSource, Topic, number_of, numbered
from .opening import open_test_server
from .oracle import Flaw, Oracle, Verdict
from .playing import Playing
from .proxy import Greeting, Proxy, ProxyStatistics, Tap, Upstream, open_proxy
from .server import TestServer
from .threaded import ThreadedTestServer, run_test_server

__all__ = [
    "run_test_server", "ThreadedTestServer", "StuckError",
    "open_test_server", "TestServer", "OpenConnection", "Expectation", "ExpectationError", "Playing",
    "START", "bar", "ema", "halt", "quote", "resume", "sma", "trade",
    "Cut", "CutAfter", "Direction", "Plan", "RandomCuts", "scripted",
    "Conditions", "Greeting", "Proxy", "ProxyStatistics", "Tap", "Upstream", "open_proxy",
    "Entry", "Fault", "Faults", "Log",
    "NumberedConfig", "NumberedSource", "Topic", "number_of", "numbered",
    "Flaw", "Oracle", "Verdict",
]  # fmt: skip
