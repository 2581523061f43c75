"""What proves that nothing is lost: a proxy that cuts connections, and an oracle that knows what was published."""

from datafye_trio.testing.cuts import Cut, CutAfter, Direction, Plan, RandomCuts, scripted
from datafye_trio.testing.numbered import NumberedConfig, NumberedSource, Topic, number_of, numbered
from datafye_trio.testing.oracle import Fault, Oracle, Verdict
from datafye_trio.testing.proxy import Proxy, ProxyStatistics, Upstream, open_proxy

__all__ = [
    "Cut", "CutAfter", "Direction", "Plan", "RandomCuts", "scripted",
    "Proxy", "ProxyStatistics", "Upstream", "open_proxy",
    "NumberedConfig", "NumberedSource", "Topic", "number_of", "numbered",
    "Fault", "Oracle", "Verdict",
]  # fmt: skip
