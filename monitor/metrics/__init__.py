"""Metrics of models: what a window's cells say about predictions whose labels are known.

What it does: a task (`binary`; other tasks are one more file each) says which cells a labelled row touches and turns
the cells of many windows at once into `Estimates`: a value, an interval, the rows it rests on, how far it can be from
the exact statistic, or the reason why there is none. Everything is a pure function of integers, computed window by
window in the same order, so the same cells give the same bits whatever else is evaluated along.

What it refuses: zero for an empty denominator, sums of floats, rows. What it leaves to others: which rows belong to a
window (`windows`), labels that have not come (coverage stands beside every number), over-dispersed traffic (the
intervals assume independent rows).
"""
