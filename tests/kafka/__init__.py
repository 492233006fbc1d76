"""A real Apache Kafka on loopback for the tests: put together from its Maven artifacts, started and killed at will."""
