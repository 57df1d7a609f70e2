"""What a figure depends on: the machine, the versions, how busy it was."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

_PACKAGES = (
    "stream-filter",
    "aiokafka",
    "faust-streaming",
    "faststream",
    "quixstreams",
    "confluent-kafka",
    "uvloop",
    "onnxruntime",
    "tokenizers",
    "msgspec",
    "numpy",
    "pyarrow",
)


def machine_facts(kafka_home: Path) -> dict[str, object]:
    """Facts for the result file; every value is JSON."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "java": _first_line(["java", "-version"]),
        "kafka": _kafka_version(kafka_home),
        "commit": _first_line(["git", "describe", "--always", "--dirty"]),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def load_average() -> float:
    """Processes that wanted a core over the last minute; above the core count, paces suffer."""
    return round(os.getloadavg()[0], 2)


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _kafka_version(home: Path) -> str:
    jars = sorted(home.glob("libs/kafka-clients-*.jar"))
    return jars[0].stem.removeprefix("kafka-clients-") if jars else "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return next(iter((done.stdout or done.stderr).splitlines()), None)
