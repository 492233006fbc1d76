"""From bytes to columns: mapping, decoding, interning of names, and the clocks of each topic partition.

A row becomes part of an array once, here; nothing after this package loops over rows in Python. A record that
cannot be read becomes `events.Rejected` with a bounded reason and its coordinates, never an exception, and it
still moves the offset. Clocks are running maxima taken record by record in offset order, so that no outcome
depends on how a batch was cut.

It refuses to guess: a field that is missing or of another type is rejected, not defaulted. It does not join,
count per window or write dead letters; the daemon does that with the values returned here.
"""
