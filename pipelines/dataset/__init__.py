"""Data versions: which rows, from where, and that they are still the same.

A dataset version is a manifest that never changes: the ranges of offsets that were read of two topics, what was selected of
them, the rows themselves in Parquet segments that are named by their digest, and one digest of the rows. Two digests
have two jobs. A segment's digest is of bytes: the same object, untampered. The rows' digest is of values: the same
data, whatever library wrote them and however they are cut.

Here are the rules: what a row is (`table`), its digest (`row_digest`), the manifest, what is selected, the cut into segments
that overlapping versions share, what two versions differ in, and how all of it lies in a store. A store is asked for by a
port; the registry's satisfies it. For an erasure request rows leave every version that has them (`redaction`, `erasing`): the
version has a successor then, which its names and its digest give. Where rows come from is somebody else's business:
whoever makes a version reads topics with the decoders and the join of monitoring (`monitor.cli.dataset`).

It refuses to overwrite: a name is given once. It reads no clock, no topic and no file; `parquet` is the only module that
needs a library beyond the core (`driftline[datasets]`).
"""
