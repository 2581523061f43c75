"""RFC 6455 by Autobahn's cases, behind `scripts/conformance`; `cli` is what it runs.

`judging` runs the cases in an environment of its own; `echo_server` and `echo_client` are what is judged: the
connection layers of production, with a handler that sends back what has come.
"""
