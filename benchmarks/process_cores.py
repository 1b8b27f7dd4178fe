"""How many cores the processes of a measured pipeline use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROCESSES: Final = {
    "beam_pipeline.worker\0": "workers",  # not their pool
    "TaskManagerRunner": "TaskManagers",
    "kafka.Kafka": "broker",
}
"""What their command lines have, and what they are called here."""

CpuSeconds = Mapping[int, tuple[str, float]]
"""What a process is and its CPU time, by its id."""


def cpu_seconds() -> CpuSeconds:
    """Returns what it is and its CPU time, by id, of each process that comes from this one."""
    parents: dict[int, int] = {}
    found: dict[int, tuple[str, float]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            command = (folder / "cmdline").read_text(errors="replace")
        except OSError:
            continue
        name = next((name for part, name in _PROCESSES.items() if part in command), "others")
        parents[int(folder.name)] = int(fields[1])
        found[int(folder.name)] = name, (int(fields[11]) + int(fields[12])) / _TICKS
    return {pid: one for pid, one in found.items() if os.getpid() in _ancestors(pid, parents)}


def cores_since(before: CpuSeconds, seconds: float) -> dict[str, list[float]]:
    """Returns how many cores each process used in so many seconds, by what it is."""
    cores: dict[str, list[float]] = {}
    for pid, (name, used) in cpu_seconds().items():
        cores.setdefault(name, []).append((used - before.get(pid, (name, 0.0))[1]) / seconds)
    return cores


def shown(cores: Mapping[str, list[float]]) -> str:
    """Returns the cores that each process used as text, by what the processes are."""
    known = [
        f"{name} {' + '.join(f'{one:.2f}' for one in sorted(cores[name], reverse=True))}"
        for name in _PROCESSES.values()
        if name in cores
    ]
    return ", ".join([*known, f"others {sum(cores.get('others', [])):.2f}"])


def _ancestors(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    while pid in parents:
        pid = parents[pid]
        yield pid
