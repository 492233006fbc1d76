"""Replay: the production engine once more over records that are there already.

    live topics, embedded log, recording ──► slices ──► Worker (as in production) ──► scratch log ──► files, topics, nothing
                                       └───► recommit, redecide ──► differences

What it does: runs the same `Worker`, `Task` and evaluator over a range of the source topics (`run`, `slices`), and proves
that a run which happened is what its topics say (`verify`). With the recorded decisions every commit is made again at
the recorded cuts with the recorded flags (`recommit`), every evaluation at the recorded steps (`redecide`), and what
comes out is compared byte by byte with what was written and published (`differences`, `published`). Without them the
topics are run again and final windows and alerts are compared.

What it refuses: to write to a topic that it did not make, and to decide anything by the wall clock.

Who uses it: `driftline replay`. Memory does not grow with the range: commits and evaluations are streamed, and what must
be remembered to be compared is handed to a table on disk through a port.
"""
