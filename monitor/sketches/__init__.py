"""Exact, mergeable counts: flat integer vectors with named parts, and the rounding that makes real sums integers.

What it does: `cells` names the slices of one int64 vector and reads them back as columns over windows;
`fixed_point` turns real numbers into whole units, once per term, so that sums are the same bits in any order,
on any machine, and can be taken back exactly. What it refuses: floating-point sums (replicas would differ in the last
bits) and anything whose state depends on the order of the rows. Used by `metrics`, `drift` and the windows.
"""
