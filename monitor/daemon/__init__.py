"""The running process: tasks, the evaluator, leases, and the order in which they start and stop.

A task owns one partition: open (fold, fence, rebuild, verify), live (consume, decode, join, summarise, append),
close within a stated time. The evaluator folds all ledgers and publishes windows and alerts. What is decided is
decided in the pure core; this package moves bytes between the ports and the core and owns every thread.

It never repairs a writer whose append has an unknown outcome: it drops it, reads the log and opens again. It
never flushes large state on a revoke, and never touches a partition that is not its own.
"""
