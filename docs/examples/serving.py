# ruff: noqa: ANN001, ANN201, ANN204, D101, D102, INP001, T201
from json import dumps, loads
from pathlib import Path
from sys import argv

import numpy as np
from confluent_kafka import Consumer, Producer

from registry.directory import DirectoryStore
from registry.following import Following
from registry.kafka_topic import KafkaTopic
from registry.onnx_models import load_onnx
from registry.reader import ModelReader

bootstrap, namespace, store, model, requests, predictions = argv[1:]


class Model:  # of the default trainer: an ONNX file, and which features are its numbers and which its texts
    def __init__(self, manifest, files):
        self.score, self.columns = load_onnx(manifest, files).score, loads(files["columns.json"].read_bytes())

    def of(self, rows):
        numbers = [[row.get(name) for name in self.columns["numbers"]] for row in rows]  # null is missing
        texts = [[str(row.get(name)) for name in self.columns["texts"]] for row in rows]
        inputs = {"numbers": np.array(numbers, np.float32), "texts": np.array(texts, object)}
        return self.score({kind: inputs[kind] for kind in inputs if self.columns[kind]})["probabilities"][:, 1].tolist()


consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"{namespace}.serving", "enable.auto.commit": False,
                     "auto.offset.reset": "earliest"})  # fmt: skip
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "partitioner": "murmur2_random"})
reader = ModelReader(DirectoryStore(store), model, "champion", Model, Path("cache"), probe_required=True)
topic = KafkaTopic(bootstrap, f"{namespace}.models")
with Following(reader, topic, lambda taken: print(taken.detail, flush=True)) as following:
    following.first()  # from here on there is a version, whatever becomes of the next one
    consumer.subscribe([requests])
    while True:
        records = [record for record in consumer.consume(500, 0.1) if not record.error()]
        serving, rows = reader.serving, [loads(record.value()) for record in records]  # one version for the whole batch
        for record, row, score in zip(records, rows, serving.scorer.of(rows) if rows else (), strict=True):
            told = {**row, "model": model, "version": str(serving.version), "score": score}
            producer.produce(predictions, dumps(told), key=record.key())
        producer.flush()
        if records:
            consumer.commit(asynchronous=False)
