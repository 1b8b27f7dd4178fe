"""Configuration of the Flink cluster's processes: JVM flags and the files that they read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cluster.broker import free_port

# Flink's start scripts, which are not on Maven, open these packages and compute the memory.
JVM_OPENS: Final = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in (
        "java.lang",
        "java.lang.reflect",
        "java.net",
        "java.nio",
        "java.text",
        "java.time",
        "java.util",
        "java.util.concurrent",
        "java.util.concurrent.atomic",
        "java.util.concurrent.locks",
        "sun.net.util",
        "sun.nio.ch",
    )
)
_MEMORY: Final[Mapping[str, str]] = {
    "jobmanager.memory.heap.size": "384m",
    "taskmanager.cpu.cores": "1",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.task.heap.size": "384m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.off-heap.size": "128m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "384m",
    "taskmanager.memory.jvm-overhead.min": "128m",
    "taskmanager.memory.jvm-overhead.max": "128m",
}
# What Java does for a rating is little; the better code of the second compiler comes to less than
# what that takes for minutes, of the cores of the Python workers.
_ONE_COMPILER: Final = "-XX:TieredStopAtLevel=1"
JOB_MANAGER_JVM: Final = (_ONE_COMPILER, "-Xmx384m", "-XX:MaxMetaspaceSize=384m")
TASK_MANAGER_JVM: Final = (
    _ONE_COMPILER,
    "-Xmx512m",
    "-XX:MaxDirectMemorySize=320m",
    "-XX:MaxMetaspaceSize=384m",
)
_LOG4J: Final = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.name = out
appender.out.type = CONSOLE
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %-5p %-40c{1} - %m%n
"""


def write_configuration(
    folder: Path, port: int, zookeeper_port: int, slots: int, properties: Mapping[str, str]
) -> None:
    """Writes the configuration files of Flink, Log4j and ZooKeeper.

    Args:
        folder: Where they go, with the folders that they name.
        port: Of the REST API and the web UI.
        zookeeper_port: Of ZooKeeper.
        slots: Of each TaskManager.
        properties: Further properties of Flink, which override those set here.
    """
    lines = {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.bind-host": "127.0.0.1",
        "jobmanager.rpc.port": str(free_port()),
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": str(port),
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": str(slots),
        "cluster.evenly-spread-out-slots": "true",
        **_MEMORY,
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": f"127.0.0.1:{zookeeper_port}",
        "high-availability.zookeeper.client.session-timeout": "8000",
        "high-availability.zookeeper.client.tolerate-suspended-connections": "true",
        "high-availability.storageDir": (folder / "recovery").as_uri(),
        "state.backend.type": "rocksdb",
        "state.backend.incremental": "true",
        "state.backend.rocksdb.options-factory": "flursbeam.SmallManifest",
        "state.checkpoints.dir": (folder / "checkpoints").as_uri(),
        # An incremental checkpoint may build on the last but one, which must not be deleted.
        "state.checkpoints.num-retained": "3",
        "state.savepoints.dir": (folder / "savepoints").as_uri(),
        "io.tmp.dirs": str(folder / "tmp"),
        "web.upload.dir": str(folder / "upload"),
        # Detects a dead TaskManager within seconds without taking a slow one for dead.
        "heartbeat.interval": "2000",
        "heartbeat.timeout": "30000",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1000",
        "restart-strategy.fixed-delay.delay": "1s",
        **properties,
    }
    for name in ("", "tmp", "upload", "zookeeper"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    zookeeper = {
        "dataDir": folder / "zookeeper",
        "clientPort": zookeeper_port,
        "clientPortAddress": "127.0.0.1",
        "admin.enableServer": "false",
        "tickTime": 2000,
    }
    files = {
        "config.yaml": "".join(f"{k}: {json.dumps(v)}\n" for k, v in lines.items()),
        "log4j.properties": _LOG4J,
        "zookeeper.cfg": "".join(f"{k}={v}\n" for k, v in zookeeper.items()),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
