"""The version, in one place: the build, `--version` and `datafye_trio.__version__` read it from here."""

__version__ = "0.1.0"
