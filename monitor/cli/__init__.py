"""The `driftline` command: wiring, arguments, exit codes, and everything a person sees in a terminal.

The one place that may import every package. Commands are loaded when they are called, and heavy libraries (scipy,
river, rich, confluent_kafka, starlette) inside the functions that need them: `driftline --help` must be quick.

Exit codes: 0 fine, 1 failed, 2 usage, 3 a gate said no, 69 broker unreachable, 75 not yet, 78 bad config,
130 interrupted.
"""
