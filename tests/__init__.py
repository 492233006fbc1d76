"""The tests mirror the source: tests/<package>/test_*.py proves what monitor/<package>/ promises.

No mocks of our own code (the embedded log passes the same contract suite as Kafka) and no sleeps (clocks are moved
by hand). Tests marked `kafka` talk to a real broker, see tests/kafka/.
"""
