"""Datafye's streaming market data API on Trio: a server, a client, strategies, and the words that they speak.

Everything public is here: `from datafye_trio import open_server, ServerConfig, Synthetic, Trade`. The names stand in
`__init__.pyi` beside this file, and each is loaded when it is first asked for: the pytest plugin lies in this package,
and must not cost a test run that does not use it the import of trio and all else.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
