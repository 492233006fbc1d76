"""The jars of Apache Kafka, from Maven, by hash.

`broker_jars()` returns a folder with exactly the files that `jars.sha256` lists, fetching them once per machine. Two
test runs may start cold at once: a lock makes the second wait, and the folder appears by an atomic rename, whole.

To move to another version: change KAFKA_VERSION, run `python -m tests.kafka.jars --renew`, read the difference, commit.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

KAFKA_VERSION = "4.3.0"
LOG4J_VERSION = "2.25.4"  # Kafka's own; the binding to SLF4J is not among its dependencies, and nothing logs without it
LIST = Path(__file__).with_name("jars.sha256")
FETCH_SECS = 600  # 44 MB; Maven answers in seconds or something is wrong

# No repository is named: Maven asks the one it is configured with.
POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>driftline.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class BrokerUnavailable(Exception):
    """No broker can be had on this machine; the message names the package or the step that is missing."""


def missing_commands() -> list[str]:
    """What Debian would have to install, as sentences; empty when Java and Maven are there."""
    packages = {"java": "default-jre-headless", "mvn": "maven"}
    missing = [(command, package) for command, package in packages.items() if not shutil.which(command)]
    return [f"{command} is missing (Debian: {package})" for command, package in missing]


def cache_root() -> Path:
    """Where jars are kept between runs: `driftline` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "driftline"


def broker_jars(root: Path | None = None) -> Path:
    """The folder with the jars, complete and verified. Raises BrokerUnavailable."""
    root = root or cache_root()
    folder = root / f"kafka-{KAFKA_VERSION}"
    wanted = listed()
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"kafka-{KAFKA_VERSION}.lock"):
        if folder.is_dir():
            if not differences(digests(folder), wanted):
                return folder
            shutil.rmtree(folder)  # damaged, or of an older list: fetched anew
        _fetch(folder)
        if wrong := differences(digests(folder), wanted):
            shutil.rmtree(folder)
            raise BrokerUnavailable(
                f"Maven delivered other files for Kafka {KAFKA_VERSION} than {LIST.name} lists: {'; '.join(wrong)}. "
                "Nothing was kept."
            )
    return folder


def listed() -> dict[str, str]:
    """File name -> SHA-256, as committed."""
    pairs = (line.split() for line in LIST.read_text().splitlines() if line)
    return {name: digest for digest, name in pairs}


def digests(folder: Path) -> dict[str, str]:
    """File name -> SHA-256, as found."""
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(folder.iterdir())}


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """One sentence per file that is missing, extra or of another content."""
    return [
        f"{name} {_difference(found.get(name), wanted.get(name))}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]


def _difference(found: str | None, wanted: str | None) -> str:
    if found is None:
        return "is missing"
    return "is not listed" if wanted is None else "has another SHA-256"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield  # closing the file lets the lock go, also when this process is killed


def _fetch(folder: Path) -> None:
    """Let Maven collect the jars beside `folder`, then rename: a reader sees all of them or none."""
    if missing := missing_commands():
        raise BrokerUnavailable("a Kafka broker for the tests needs Java and Maven: " + "; ".join(missing))
    print(f"driftline: fetching Apache Kafka {KAFKA_VERSION} (44 MB, once per machine)", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
        work = Path(scratch)
        (work / "pom.xml").write_text(POM)
        command = [
            "mvn", "-q", "-B", f"-Dmaven.repo.local={work / 'repository'}", "dependency:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={work / 'jars'}",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=FETCH_SECS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as e:
            raise BrokerUnavailable(f"Maven did not deliver Kafka {KAFKA_VERSION} within {FETCH_SECS} s") from e
        if done.returncode:
            said = (done.stdout + done.stderr)[-2000:]
            raise BrokerUnavailable(f"Maven could not deliver Kafka {KAFKA_VERSION}:\n{said}")
        (work / "jars").rename(folder)


def _renew() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "jars"
        _fetch(folder)
        LIST.write_text("".join(f"{digest}  {name}\n" for name, digest in digests(folder).items()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.kafka.jars", description="The jars of the test broker.")
    parser.add_argument("--renew", action="store_true", help="write jars.sha256 anew from what Maven delivers")
    if parser.parse_args().renew:
        _renew()
    print(broker_jars())
