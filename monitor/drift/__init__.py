"""Drift: how far the inputs and scores of a window lie from a reference, measured on the same fixed bins.

What it does: `binning` fixes the bins of a feature once, on the reference; `reference` keeps the profile of a model
(bins and counts, never rows) as a small canonical document with a digest; `distances` compares two vectors of counts;
`statistics` names what rules and windows can ask for (`psi:hour`, `ks:$score`) and evaluates it for many windows at
once, with rows, bound and the reason where there is no value.

What it refuses: bins chosen from current data (counts would not merge), p-values of sketches, thresholds. A distance is
a number of one window; whether a sequence of them means drift is another question.

Whether a sequence of ticks means that something has changed is asked of the same counts: `functionals` are the questions,
`nulls` what a reference allows (margins for a finite sample, dispersion of bursty rows, seasons), `edetector` the
recursion with its state, `budget` the dials. None of them knows a model, a window or a clock.
"""
