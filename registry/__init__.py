"""Model versions, dataset versions and aliases, kept as numbered entries that are created once and never changed.

It will rest on one primitive, create-if-absent of entry n in a directory or an object store: version numbers,
alias moves, run journals and the audit log are all "who created entry n first". It imports neither the monitor
nor the pipelines. Nothing of it exists yet.
"""
