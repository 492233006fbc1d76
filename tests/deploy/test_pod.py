"""The daemon as the pod of deploy/kubernetes runs it, on a real broker: a root that cannot be written, little scratch space, no
capabilities; told to stop while it is busy, idle beside another, and on a disk that is full.

A mount namespace of its own stands in for the container; making one takes root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.kustomize import KUBERNETES
from tests.kafka.broker import Kafka, free_ports
from tests.kafka.deployment import DEMO, ROOT, Deployment, Process, eventually, succeed
from tests.kafka.fixtures import FreshTopics

PREDICTIONS, LABELS = 80_789, 77_911
STOP_SECS = 20
GRACE_SECS = yaml.safe_load((KUBERNETES / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"][
    "terminationGracePeriodSeconds"
]
SLOWLY = ("state.max_batch_rows=499", "state.commit_interval=20ms")

# The configuration is mounted read-only, scratch space is limited, everything else is read-only. The scratch space is not /tmp,
# where this checkout itself may lie.
ENTER = """
set -eu
mount --make-rprivate /
mount --bind -o ro "$1" /mnt
mount -t tmpfs -o size=64m tmpfs /var/tmp
mount -t tmpfs -o "size=$2" tmpfs /srv
mount -o remount,bind,ro /
! touch /written 2>/dev/null
shift 2
exec setpriv --bounding-set=-all --no-new-privs "$@"
"""


class Pod(Process):
    """A worker in such surroundings. `port` is where its probes are."""

    def __init__(
        self, name: str, deployment: Deployment, *settings: str, disk: str = "16m", until_end: bool = False
    ) -> None:
        self.log_path = deployment.folder.parent / f"{name}.log"
        (self.port,) = free_ports(1)
        files = ["-c", str(DEMO / "flights.yaml"), "-c", "/mnt/layer.yaml"]
        overrides = [a for s in (f"http.port={self.port}", *settings) for a in ("--set", s)]
        worker = [
            sys.executable,
            "-m",
            "monitor.cli.entry",
            "run",
            *files,
            *overrides,
            *(["--until-end"] if until_end else []),
        ]
        enter = ["unshare", "--mount", "sh", "-c", ENTER, "enter", str(deployment.folder), disk]
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",
            "TMPDIR": "/var/tmp",
        }
        with self.log_path.open("wb") as out:
            self._process = subprocess.Popen(
                [*enter, *worker],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=out,
            )

    def probe(self, path: str) -> tuple[int, str]:
        """Code and text of an endpoint; 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return 0, str(e)


def may_enter() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(
    not may_enter(), reason="a mount namespace needs root, unshare and setpriv (util-linux)"
)


@pytest.fixture
def flights(kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path) -> Iterator[Deployment]:
    names = fresh_topics("predictions"), fresh_topics("labels")
    with Deployment(kafka.bootstrap_servers, *names, tmp_path / "config") as deployment:
        yield deployment


def pod(deployment: Deployment, fresh_topics: FreshTopics, name: str, *settings: str, **options: object) -> Pod:
    made = Pod(name, deployment, f"namespace={fresh_topics.namespace}", *settings, **options)  # type: ignore[arg-type]
    deployment._processes.append(made)
    return made


def test_told_to_stop_while_it_is_busy_it_commits_what_it_read_in_time_and_the_next_one_goes_on(
    flights: Deployment, fresh_topics: FreshTopics
) -> None:
    flights.produce_all()
    first = pod(flights, fresh_topics, "first", *SLOWLY)
    eventually(lambda: flights.read_offsets(fresh_topics.namespace)[0] > 0, 60, "something is read", first)
    first.send(signal.SIGTERM)
    assert first.wait(STOP_SECS) == 0, first.said[-3_000:]
    read = flights.read_offsets(fresh_topics.namespace)
    assert read[0] < PREDICTIONS, "it was done before it was told to stop: the test shows nothing"
    succeed(pod(flights, fresh_topics, "second", until_end=True), secs=120)
    assert flights.read_offsets(fresh_topics.namespace) == (PREDICTIONS, LABELS)
    assert flights.audits(fresh_topics.namespace) == []
    assert STOP_SECS < GRACE_SECS


def test_a_pod_without_partitions_is_ready_and_takes_over_when_the_other_leaves(
    flights: Deployment, fresh_topics: FreshTopics
) -> None:
    for topic in ("predictions", "labels"):
        fresh_topics.create(topic)
    owner = pod(flights, fresh_topics, "owner")
    eventually(lambda: "1 owned, all live" in owner.probe("/readyz?verbose")[1], 60, "the first owns it", owner)
    standby = pod(flights, fresh_topics, "standby")
    eventually(lambda: standby.probe("/readyz")[0] == 200, 60, "the second is ready", standby)
    code, told = standby.probe("/readyz?verbose")
    assert (code, "0 owned, all live" in told, "every partition gets on" in told) == (200, True, True), told
    assert owner.probe("/readyz")[0] == 200
    owner.send(signal.SIGTERM)
    assert owner.wait(STOP_SECS) == 0
    eventually(lambda: "1 owned, all live" in standby.probe("/readyz?verbose")[1], 60, "the second owns it", standby)
    standby.send(signal.SIGTERM)
    assert standby.wait(STOP_SECS) == 0


def test_on_a_full_disk_predictions_wait_it_stops_when_told_and_with_room_it_goes_on(
    flights: Deployment, fresh_topics: FreshTopics
) -> None:
    flights.produce_all()
    spill = ("state.directory=/srv", "state.memory_rows=2000")
    full = pod(flights, fresh_topics, "full", *spill, disk="64k")
    said = "cannot be put aside in '/srv' (state.directory): no space left on device"
    eventually(lambda: said in full.said, 60, "the disk is full", full)
    assert full.probe("/livez")[0] == 200, "it waits, and that is no reason to kill it"
    full.send(signal.SIGTERM)
    assert full.wait(STOP_SECS) == 0, full.said[-3_000:]
    assert flights.read_offsets(fresh_topics.namespace)[0] < PREDICTIONS
    roomy = pod(flights, fresh_topics, "roomy", *spill, until_end=True)
    succeed(roomy, secs=240)
    assert said not in roomy.said
    assert flights.read_offsets(fresh_topics.namespace) == (PREDICTIONS, LABELS)
    assert flights.audits(fresh_topics.namespace) == []
