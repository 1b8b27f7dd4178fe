"""A Kafka broker of one node (KRaft): `python -m cluster.broker` runs one until Ctrl-C."""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import secrets
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
from typing import Final

from beam_pipeline.port_flag import port_number
from cluster.maven import copy_dependencies

_POM: Final = Path(__file__).parent / "kafka" / "pom.xml"
_UP_SECONDS: Final = 300
_WATCH_SECONDS: Final = 1.0
_CLUSTER_ID: Final = uuid.UUID(int=0x666C7572732D6265616D000000000001)


# Below those that Linux gives to outgoing connections, one of which may take a port that was free.
_PORTS: Final = range(10_000, 32_768)
_HELD: Final[list[socket.socket]] = []


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nobody listens on, and that no other call returns.

    A server takes seconds to start, and another process may look for a port meanwhile. So this one
    holds the port for UDP until it ends, which leaves it free for TCP.
    """
    while True:
        address = ("127.0.0.1", secrets.choice(_PORTS))
        held = socket.socket(type=socket.SOCK_DGRAM)
        try:
            held.bind(address)
            with socket.socket() as probe:
                probe.bind(address)
        except OSError as e:
            held.close()
            if e.errno != errno.EADDRINUSE:
                raise
        else:
            _HELD.append(held)
            return address[1]


class Broker:
    """A broker process with its log in a folder.

    Args:
        folder: Where its configuration, its log and its data go.
        port: Where it listens; a free one if it is 0.
        properties: Further lines of its configuration.
        listeners: Further listeners: the security protocol of each by its name.
        users: Passwords of users that may log in by SCRAM.

    Attributes:
        address: Where it listens, in plaintext.
        addresses: Where each of the further listeners does.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        properties: Sequence[str] = (),
        listeners: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        protocols = listeners or {}
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in protocols}
        self._jars = copy_dependencies(_POM)
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / "server.properties"
        controller = free_port()
        every = {"PLAINTEXT": self.address, **self.addresses}
        advertised = [f"{name}://{address}" for name, address in every.items()]
        mapped = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT", **protocols}
        lines = [
            "process.roles=broker,controller",
            "node.id=1",
            f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners=CONTROLLER://127.0.0.1:{controller},{','.join(advertised)}",
            f"advertised.listeners={','.join(advertised)}",
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map="
            + ",".join(f"{name}:{protocol}" for name, protocol in mapped.items()),
            f"log.dirs={folder / 'data'}",
            "offsets.topic.replication.factor=1",
            "offsets.topic.num.partitions=1",
            "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1",
            "transaction.state.log.num.partitions=1",
            "group.initial.rebalance.delay.ms=0",
            "auto.create.topics.enable=false",
            *properties,
        ]
        folder.mkdir(parents=True, exist_ok=True)
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        scram = [
            argument
            for name, password in (users or {}).items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
        self._java("kafka.tools.StorageTool", "format", "-t", _kafka_uuid(), *scram, "-c").wait()

    def start(self) -> None:
        """Starts the broker, and returns when it accepts connections.

        Raises:
            RuntimeError: It does not start; the text has the end of its log.
        """
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as e:
                msg = f"port {self.port} is taken: pass another with --port"
                raise RuntimeError(msg) from e
        self._process = self._java("kafka.Kafka")
        deadline = time.monotonic() + _UP_SECONDS
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
            ):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        self.kill()
        msg = f"the broker does not start:\n{self._log.read_text()[-2000:]}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """Shuts the broker down; its data stays."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=60)

    def kill(self) -> None:
        """Kills the broker, as a crash does; its data stays."""
        if self._process:
            self._process.kill()
            self._process.wait(timeout=60)

    def has_ended(self) -> bool:
        """Whether the broker has ended without having been told to."""
        return self._process is not None and self._process.poll() is not None

    @property
    def _log(self) -> Path:
        return self.folder / "broker.log"

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = ["java", "-Xmx512m", "-cp", f"{self._jars}/*", main, *arguments]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*command, str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _kafka_uuid() -> str:
    return base64.urlsafe_b64encode(_CLUSTER_ID.bytes).decode("ascii").rstrip("=")


def main(argv: Sequence[str]) -> int:
    """Runs a broker until Ctrl-C, and then removes its data."""
    parser = argparse.ArgumentParser(prog="python -m cluster.broker", description=__doc__)
    parser.add_argument("--port", type=port_number, default=9092, help="0 for a free one")
    port = parser.parse_args(argv).port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="flurs-beam-kafka-"))
    broker = Broker(folder, port)
    try:
        try:
            broker.start()
        except RuntimeError as e:
            print(f"error: {e}", file=sys.stderr)
            return 1
        print(
            f"Kafka listens at localhost:{port}; Ctrl-C stops it and removes its data", flush=True
        )
        while not signal.sigtimedwait({signal.SIGINT, signal.SIGTERM}, _WATCH_SECONDS):
            if broker.has_ended():
                print("error: the broker has ended by itself; start it again", file=sys.stderr)
                return 1
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    # Blocked so that sigwait gets them; the broker is in a session of its own.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main(sys.argv[1:]))
