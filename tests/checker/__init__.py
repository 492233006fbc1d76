"""The independent check of what the daemon publishes.

Nothing here imports the engine (`monitor/`): records are read raw, counted again by the oracle (`tests/oracle`) and
compared with what stands in the output topics. Run by hand or from a test:

    python -m tests.checker.recount --predictions p.jsonl.gz --labels l.jsonl.gz --window day
    python -m tests.checker.windows --bootstrap 127.0.0.1:9092 --namespace a --against b
    python -m tests.checker.windows --embedded DIR --namespace a --truth truth.json
"""
