# ruff: noqa: INP001, T201
from json import loads
from sys import argv

from confluent_kafka import Consumer

consumer, seen = Consumer({"bootstrap.servers": argv[1], "group.id": "pager", "auto.offset.reset": "earliest"}), set()
consumer.subscribe([argv[2]])
while True:
    for event in (loads(record.value()) for record in consumer.consume(100, timeout=1.0) if not record.error()):
        if event["id"] not in seen:
            print(event["time"], event["data"]["severity"], event["data"]["summary"], flush=True)
            seen.add(event["id"])
