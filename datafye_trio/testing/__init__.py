"""What tests programs that read market data: a test server, and what proves that nothing is lost.

The names stand in `__init__.pyi`, and each is loaded when it is first asked for, as those of `datafye_trio` are.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
