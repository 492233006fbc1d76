"""The logs and their tools: one contract suite over the embedded log, the in-memory twin and real Kafka."""
