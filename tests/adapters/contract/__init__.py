"""The contract of `monitor.ports.Log`: every test here runs against the in-memory twin, the embedded log and real
Kafka."""
