"""The doors to the world: one implementation of a port per file.

The log over Kafka and the embedded log over SQLite satisfy the same contract suite (tests/adapters); so do the
system clock and the clock that tests move by hand. Exposition for Prometheus and the HTTP endpoints are here too.
Nothing here decides anything: a new door is one file, the contract suite, and one line in `monitor.cli`.
"""
