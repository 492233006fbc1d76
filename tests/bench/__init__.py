"""`make bench`: what the daemon costs, beside what reading the same records costs and what a plain loop costs.

How it is measured
- One real broker on core 0, every contender alone on core 1, one after the other, interleaved over several rounds;
  medians.
- Cost is CPU time of the whole process, all threads, user and system, as the kernel counts it at its end, minus the
  same for a run of the same command on two empty topics of as many partitions. What remains is the cost of the records,
  settling and publishing included; starting an interpreter and importing libraries is not in it, for nobody.
- Before anything is timed every contender has to give the counts that the generator knows.

The pieces: `generate` makes the records, `b1` only reads and parses them (the yardstick), `river_loop` does the work
one event at a time, `daemon` is `driftline run --until-end`, `pending_memory` measures the join alone, `old_ledger`
a start on a ledger of 90 days, `latency` the way from a label to an alert, `soak` half an hour with
faults, `tick` one decision of the budget over many features, `peers` a window beside Evidently and NannyML where they are
installed, `run` puts it together.
"""
