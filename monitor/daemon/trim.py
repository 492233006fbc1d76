"""Trimming: records of the ledger and of `evals` that no start needs any more are deleted.

What is kept: everything from the older of two checkpoints on that were read back whole and that the log bears out, of
`evals` and of the partition itself; and the record each of them follows, which they are recognised by. So a start still
has an older checkpoint to fall back to. Where there are not two, nothing is deleted.
"""

from __future__ import annotations

import logging
from itertools import islice

from monitor.daemon.checkpoints import KEPT, of_evals, of_ledger, stands, usable
from monitor.ledger.checkpoints import Manifest
from monitor.ports import Log

_log = logging.getLogger("driftline.trim")


def trim(log: Log, topics: tuple[str, str, str], partitions: int) -> None:
    """Delete what is below; `topics`: ledger, evals, checkpoints.

    Raises LogError where the log refuses (deleting takes a right of its own), LedgerError when it lost records,
    CheckpointError for one that is damaged.
    """
    ledger, evals, checkpoints = topics
    found = islice(usable(log, evals, 0, of_evals(log, checkpoints, partitions)), KEPT)
    kept = []
    for one in found:
        one.body()  # read back and checked
        kept.append(one.manifest)
    if len(kept) < KEPT:
        return
    for partition in range(partitions):
        own = islice(usable(log, ledger, partition, of_ledger(log, checkpoints, partition)), KEPT)
        tasks = [one.manifest for one in own]
        if len(tasks) == KEPT and all(_borne_out(log, ledger, partition, one) for one in kept):
            places = [*(one.place for one in tasks), *(one.ledger[partition] for one in kept)]
            _delete(log, ledger, partition, min(place.at for place in places))
    _delete(log, evals, 0, min(one.place.at for one in kept))


def _borne_out(log: Log, ledger: str, partition: int, manifest: Manifest) -> bool:
    return stands(log, ledger, partition, manifest.ledger[partition], "the checkpoint of evals")


def _delete(log: Log, topic: str, partition: int, before: int) -> None:
    begin = log.begin_offsets(topic)[partition]
    if before > begin:
        log.delete_records(topic, partition, before)
        _log.info("%s[%d]: %d records below offset %d deleted", topic, partition, before - begin, before)
