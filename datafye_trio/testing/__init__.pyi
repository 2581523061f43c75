from .cuts import Cut, CutAfter, Direction, Plan, RandomCuts, scripted
from .numbering import NumberedConfig, NumberedSource, Topic, number_of, numbered
from .oracle import Fault, Oracle, Verdict
from .proxy import Proxy, ProxyStatistics, Upstream, open_proxy

__all__ = [
    "Cut", "CutAfter", "Direction", "Plan", "RandomCuts", "scripted",
    "Proxy", "ProxyStatistics", "Upstream", "open_proxy",
    "NumberedConfig", "NumberedSource", "Topic", "number_of", "numbered",
    "Fault", "Oracle", "Verdict",
]  # fmt: skip
