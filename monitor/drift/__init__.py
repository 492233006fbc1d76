"""Drift: how far the inputs and scores of a window lie from a reference, measured on the same fixed bins.

What it does: `binning` fixes the bins of a feature once, on the reference; `reference` keeps the profile of a model
(bins and counts, never rows) as a small canonical document with a digest; `distances` compares two vectors of counts;
`statistics` names what rules and windows can ask for (`psi:hour`, `ks:$score`) and evaluates it for many windows at
once, with rows, bound and the reason where there is no value.

What it refuses: bins chosen from current data (counts would not merge), p-values of sketches, thresholds. A distance is
a number of one window; whether a sequence of them means drift is another question.

Room left on purpose: sequential detectors (configuration, state and `step`, one file each) will live in
`monitor/drift/detectors/`, the shared false-alarm budget in `monitor/drift/budget.py`. Both feed on the bin counts of
closed ticks that are kept here already, so no summary changes when they come.
"""
