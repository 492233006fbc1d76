"""Driftline's monitor: two topics in, numbers that are right and alerts that can be taken back out.

    predictions[p] ─┐
                    ├─► ingest ─► join ─► summary ─► ledger[p] ─► windows ─► metrics, drift ─► alerts
    labels[p] ──────┘   one `partition` each         one append     one `evaluator`

Stage 1 runs once per partition: bytes become columns (`ingest`), predictions meet their labels (`join`), and
what changed is summed into integer cells (`summary`). Each micro-batch ends in ONE record on the partition's
ledger; that append is the commit. Stage 2 folds the ledgers (`ledger`), adds panes into windows at ticks of
event time (`windows`), reads metrics and distances off them (`metrics`, `drift`) and decides (`alerts`).

The core is pure: the same input gives the same output. It reads no clock, draws no random number, opens no
file, writes no log line and knows no client library. Time is an argument, bad input is a value with a
bounded reason, sums are integers so that any order and any cut of the batches gives the same bits.

The shell is small and named. `daemon` runs tasks and the evaluator and owns every thread, `adapters` holds one
implementation of each port (Kafka, the embedded log over SQLite, clocks, HTTP), `cli` wires them together.
The embedded log is the test twin of Kafka: both satisfy the contract suite of `tests/adapters`.

Import order, checked by tests/test_architecture.py; each floor may import what stands below it:

    cli > daemon | adapters > partition | evaluator > view > telemetry > alerts > windows > coding | summary
        > plan > drift > metrics > ledger | join | sketches > ingest > groups > config > ports > events > editions > errors

`pipelines` (retraining) and `registry` (model versions) share no code with this package: only data travels
between the three, and `monitor.cli` is the one place that may import all of them.
"""
