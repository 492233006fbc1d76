"""A Kafka broker of our own: one process, broker and controller in one (KRaft), on loopback, with a temporary folder.

`KafkaCluster` starts it, stops it, kills it, freezes it and starts it again on the same port with the same data.
For people: `python -m tests.kafka.broker --port 9092 --topic predictions:6 --topic labels:6`.

One broker shows most of what Driftline must survive (a broker that is gone, slow or back); three of them, with replicas and
elections, are in `tests.kafka.three`.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.jars import BrokerUnavailable, broker_jars, missing_commands

START_SECS = 180.0  # 2 s on an idle machine; the rest is for two cores shared by everybody
STOP_SECS = 20.0
ANSWER_SECS = 30.0
PORT_TRIES = 5

# Short sessions, so that a test of a worker that dies need not wait 45 s for the group to notice.
PROPERTIES = {
    "auto.create.topics.enable": "false",  # a mistyped topic is an error, not an empty topic
    "broker.heartbeat.interval.ms": "200",
    "broker.session.timeout.ms": "2000",  # after kill -9 the broker may register again when this has passed
    "group.consumer.heartbeat.interval.ms": "200",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "1500",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "log.cleaner.backoff.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "8388608",  # the default of 128 MB does not fit the small heap
    "log.retention.ms": "-1",  # records carry event times of 2013: time retention would delete them within a minute
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
}

LOG4J = """status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
"""


class Kafka:
    """A Kafka that answers at `bootstrap_servers`; who runs it is not said."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def admin(self) -> AdminClient:
        """A new admin client that reconnects quickly and keeps its complaints to itself."""
        return AdminClient({
            "bootstrap.servers": self.bootstrap_servers, "log_level": 0,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "socket.connection.setup.timeout.ms": 2000,
        })  # fmt: skip

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Make a topic and return when every partition has a leader. Raises KafkaException, e.g. when it exists."""
        admin = self.admin()
        topic = NewTopic(name, num_partitions=partitions, config=dict(config or {}))
        admin.create_topics([topic], operation_timeout=ANSWER_SECS)[name].result(ANSWER_SECS)
        deadline = time.monotonic() + ANSWER_SECS
        while not self._led(admin, name, partitions):
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"topic {name!r} had no leader for every partition within {ANSWER_SECS:.0f} s")
            time.sleep(0.01)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Delete those of `names` that exist."""
        admin = self.admin()  # held until the answers are in: a client that is collected takes its futures along
        for future in admin.delete_topics(list(names), operation_timeout=ANSWER_SECS).values() if names else ():
            try:
                future.result(ANSWER_SECS)
            except KafkaException as e:
                if e.args[0].name() != "UNKNOWN_TOPIC_OR_PART":
                    raise

    def answers(self) -> bool:
        """Whether a broker is registered and gives its metadata now."""
        return self.cluster_id() is not None

    def cluster_id(self) -> str | None:
        """The id of the cluster that answers at this address, None when none does."""
        try:
            found = self.admin().list_topics(timeout=2)
        except KafkaException:
            return None
        return found.cluster_id if found.brokers else None

    @staticmethod
    def _led(admin: AdminClient, name: str, partitions: int) -> bool:
        found = admin.list_topics(name, timeout=ANSWER_SECS).topics[name].partitions
        return len(found) == partitions and all(p.leader >= 0 for p in found.values())


class KafkaCluster(Kafka):
    """A broker that this process owns. Use it as a context manager, or call `start` and `close`.

    The broker dies with this process however that ends, kill -9 included. `port` 0 picks a free one. `folder` keeps
    the data; without it a temporary folder is used and removed. `properties` override those of the harness; brokers of one
    `cluster_id` that know each other's controllers are one cluster.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        folder: Path | None = None,
        heap_mb: int = 320,
        properties: Mapping[str, str] | None = None,
        cluster_id: str | None = None,
    ) -> None:
        super().__init__("")
        self._wanted_id = cluster_id
        self._port, self._heap_mb, self._properties = port, heap_mb, dict(properties or {})
        self._temporary = folder is None
        self._cluster_id: str | None = None
        self._folder = folder
        self._jars: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives (a frozen one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """What the broker printed, over all its lives."""
        return self.folder / "broker.log"

    @property
    def folder(self) -> Path:
        """Where data, config and log are."""
        assert self._folder is not None, "the broker was never started"
        return self._folder

    def start(self) -> None:
        """Start, and return when the broker answers. Raises BrokerUnavailable with the end of its log."""
        assert not self.running, "the broker is running already"
        if missing := missing_commands()[:1]:
            raise BrokerUnavailable(f"a Kafka broker for the tests needs Java and Maven: {missing[0]}")
        self._jars = broker_jars()
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="driftline-kafka-"))
        if self._read_cluster_id() is None:
            self._format()
        self._cluster_id = self._read_cluster_id()
        first = not self.bootstrap_servers
        for _ in range(PORT_TRIES):
            if first:
                self._choose_ports()
            self._spawn()
            if self._wait_until_it_answers():
                return
            collided = "Address already in use" in self._log_tail(20_000)
            self.kill()
            if not (first and collided and not self._port):
                break
        raise BrokerUnavailable(f"the Kafka broker did not start:\n{self._log_tail()}")

    def stop(self) -> None:
        """Shut down as an operator would (SIGTERM); the data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9; the data stays as the process left it."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again at the same address with the same data, stopping first if needed."""
        if self.running:
            self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the process in its tracks (SIGSTOP): connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill the broker and remove what it left. Safe to call twice."""
        self.kill()
        if self._temporary and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # ------------------------------------------------------------------------------------------------- inside

    def _java(self, *arguments: str) -> list[str]:
        return [
            "java", f"-Xmx{self._heap_mb}m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}", "-cp", f"{self._jars}/*", *arguments,
        ]  # fmt: skip

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOG4J)
        self._write_config(1, 2)  # formatting needs a config, and no port of it
        cluster_id = self._wanted_id or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        config = str(self.folder / "server.properties")
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", config),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_SECS, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BrokerUnavailable(f"the Kafka storage could not be formatted:\n{(done.stdout + done.stderr)[-2000:]}")

    def _read_cluster_id(self) -> str | None:
        """The id that formatting wrote beside the data, None before."""
        found = self.folder / "data" / "meta.properties"
        lines = found.read_text().splitlines() if found.exists() else []
        return next((line.partition("=")[2] for line in lines if line.startswith("cluster.id=")), None)

    def _choose_ports(self) -> None:
        port, controller = free_ports(2)
        port = self._port or port
        self._write_config(port, controller)
        self.bootstrap_servers = f"127.0.0.1:{port}"

    def _write_config(self, port: int, controller: int) -> None:
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            **PROPERTIES,
            **self._properties,
        }
        (self.folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))

    def _spawn(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.folder / "server.properties")),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests; the broker is ended by them
            )  # fmt: skip
        # The pipe closes when this process ends, however it ends; the guard then takes the broker along.
        rest = ["rm", "-rf", str(self.folder)] if self._temporary else ["true"]
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 "$1"; shift; exec "$@"', "guard", str(self._process.pid), *rest],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def _wait_until_it_answers(self) -> bool:
        host, port = self.bootstrap_servers.split(":")
        deadline = time.monotonic() + START_SECS
        while self.running and time.monotonic() < deadline:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError:
                time.sleep(0.02)
                continue
            # Somebody else's broker may answer there, while ours is about to find the port taken.
            if self.cluster_id() == self._cluster_id:
                return True
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._guard is not None:  # first, so that it can never kill a process id that was given to somebody else
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(number)
            if number != signal.SIGKILL:
                self._process.send_signal(signal.SIGCONT)
            try:
                self._process.wait(STOP_SECS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def _log_tail(self, size: int = 3000) -> str:
        return self.log_path.read_text(errors="replace")[-size:] if self.log_path.exists() else "(no log)"


def free_ports(count: int) -> list[int]:
    """Distinct ports of loopback that nobody listens on now.

    They lie below the range from which the system draws the ports of outgoing connections: while a killed broker is
    down, such a connection could take its port, or a client that keeps trying could end up connected to itself.
    """
    low = 32768
    if (setting := Path("/proc/sys/net/ipv4/ip_local_port_range")).exists():
        low = int(setting.read_text().split()[0])
    candidates = range(max(10_000, low - 15_000), low) if low > 11_000 else range(20_000, 30_000)
    found: list[int] = []
    for port in random.SystemRandom().sample(candidates, len(candidates)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise BrokerUnavailable("no free port on 127.0.0.1")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a broker in the foreground until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.broker", description="A Kafka broker to try out.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--folder", type=Path, help="keep the data here (default: a temporary folder)")
    parser.add_argument("--heap-mb", type=int, default=512)
    parser.add_argument("--topic", action="append", default=[], metavar="NAME:PARTITIONS", help="make it; repeatable")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with KafkaCluster(port=arguments.port, folder=arguments.folder, heap_mb=arguments.heap_mb) as kafka:
            for topic in arguments.topic:
                name, _, partitions = topic.partition(":")
                kafka.create_topic(name, int(partitions or 1))
            print(f"bootstrap: {kafka.bootstrap_servers}", flush=True)
            print("Ctrl-C stops it.", file=sys.stderr)
            while kafka.running:
                time.sleep(0.2)
            print(f"the broker ended by itself:\n{kafka._log_tail()}", file=sys.stderr)
            return 1
    except BrokerUnavailable as e:
        print(f"driftline: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
