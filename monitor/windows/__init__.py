"""Panes, windows, ticks and the evaluator's arithmetic.

A pane is the smallest span of event time that every configured window is a union of; a window is a sum of panes.
Contributions are signed sparse integer cells keyed by (pane, known at), so a late or corrected label is a
retraction plus an addition and the result is exact. A tick closes once, when the tick clocks of all partitions
have passed its end; what is decided therefore does not depend on which topic was read first.

A window has revisions, and is final when the label finality clocks have passed its end plus the horizon.
`view` holds what readers of windows see; `payload` the canonical bytes, which carry no offsets, no batch
cuts and no wall time: those travel in headers.
"""
