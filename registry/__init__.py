"""Model versions that never change, and aliases that say which of them is served.

    files ─► formats ─► catalog ─► versions ─┐
                                             ├─► publication ─► models topic ─► reader ─► scorer
             people, pipelines ─► aliases ───┘

Everything rests on one primitive, create-if-absent of entry n (`store`): version numbers and moves of aliases are "who
created entry n first". There is no database, no lock and no leader. A directory is a store (`directory`); an object store
can be, by its conditional PUT.

A **version** is a manifest by digest (`manifest`): files, data, code, environment, probe set, evidence. Its numbered entry is
written last, so a version is there whole or not at all; a run that is tried twice has one version. Files are looked
at before they are taken (`formats`): ONNX, safetensors, JSON and recipes of river models, nothing that would have to be
run to be read. A **probe set** (`probe`) holds a few inputs and the outputs seen: right bytes may still behave wrongly.

An **alias** is moved by compare-and-swap in one hash-chained log per model (`moves`), read by one rule (`fold`) that decides
what counts: a promotion replaces what it was decided against, nobody approves his own version, a frozen alias does not move
by itself, a retired version is never served again. A rollback is a new entry.

`fsck` names whatever is damaged, missing or contradicts itself; `gc` removes what nobody refers to. Where an alias stands is
published by comparing a compacted topic with the store (`state_topic`, on Kafka by `kafka_topic`). A server follows it with
`following` and `reader`: they verify everything, check the probe set, swap by one assignment, and keep what there is when
anything fails.

Versions and moves can be **signed** (`signing`, beside the logs), and a reader that has a `trust` policy serves nothing that
those who may have not signed: then whoever can write to the store can stop a server from changing, and make it serve nothing.

Versions of MLflow are taken over by `mlflow_import`, asking `mlflow_server`; what is read and kept of them is in `mlflow`.

What it refuses: pickle in any disguise, moving an alias without a reason, changing or deleting a version. What it is not: an
experiment tracker, a user directory (names are what people say they are; permissions are those of the storage), a
server. It imports neither the monitor nor the pipelines and is complete without them: `python -m registry`.

The rules (`errors` up to `fsck` in the import order of pyproject.toml) know no file, clock or network: the store is a port
and time an argument. The shell is `directory`, `files`, `local_bundle`, `kafka_topic`, `onnx_models`,
`river_models`, `trust_file`, `mlflow_server`, `mlflow_import`, `reader`, `following` and `cli`.
"""
