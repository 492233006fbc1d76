# ruff: noqa: INP001, T201
from collections import defaultdict
from json import loads
from sys import stdin

seen, firing = set(), defaultdict(set)
for event in map(loads, stdin):
    data, group = event["data"], event["data"].get("group")
    if event["id"] in seen or group is None:
        continue
    seen.add(event["id"])
    lead, own = group["members"][0], firing[group["id"]]
    if group["role"] in ("opens", "raises"):
        print(
            event["time"],
            group["severity"],
            lead["rule"],
            "of",
            lead["model"],
            "and",
            group["size"] - 1,
            "more",
            flush=True,
        )
    if data["state"] == "firing":
        own.add(data["episode"])
    elif own == {data["episode"]}:
        print(event["time"], "over:", lead["rule"], "of", lead["model"], flush=True)
    if data["state"] == "resolved":
        own.discard(data["episode"])
