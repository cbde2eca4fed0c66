"""The machine: what it is, and the two rates that bound every stage, measured: matrix products and copies."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch

from musetalk.benchmark.timer import median_seconds

MATRIX_SIDE = 2048
COPY_BYTES = 256 * 1024 * 1024  # beyond the caches


@dataclass(frozen=True)
class Machine:
    """What a measurement depends on beside the code.

    Attributes:
        processor: Model of the CPU.
        cores: Logical ones in the machine.
        usable_cores: Those that this process may use.
        threads: Threads of torch.
        device: Name of the GPU, or "CPU".
        system: Operating system and architecture.
        python_version: Of the interpreter.
        torch_version: With that of CUDA where it was built for it.
        float32_precision: torch.get_float32_matmul_precision().
    """

    processor: str
    cores: int
    usable_cores: int
    threads: int
    device: str
    system: str
    python_version: str
    torch_version: str
    float32_precision: str

    @classmethod
    def of(cls, device: torch.device) -> Machine:
        """This machine, with the device that is measured."""
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
        return cls(
            processor_name(),
            os.cpu_count() or 1,
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            torch.get_num_threads(),
            name,
            f"{platform.system()} {platform.machine()}",
            platform.python_version(),
            str(torch.__version__),
            torch.get_float32_matmul_precision(),
        )


@dataclass(frozen=True)
class Rates:
    """What the machine reaches when it does nothing else.

    Attributes:
        matrix: FLOP a second of a large matrix product on the device, by dtype; a multiply-add counts as two.
        copy: Bytes a second, read and written together, of a large copy; "cpu", and the device where it is another.
    """

    matrix: dict[str, float]
    copy: dict[str, float]


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model of the CPU, as the system tells it."""
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def load_average() -> float | None:
    """Processes that wanted to run, over the last minute; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def now() -> str:
    """The date and time, UTC, to seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def measure_rates(
    device: torch.device,
    dtypes: Sequence[torch.dtype],
    repeats: int,
    *,
    side: int = MATRIX_SIDE,
    copy_bytes: int = COPY_BYTES,
) -> Rates:
    """Measure both rates.

    Args:
        device: Of the networks.
        dtypes: Of the matrix products.
        repeats: Runs, of which the median counts.
        side: The matrices are square.
        copy_bytes: Size of the copy.
    """
    cpu = torch.device("cpu")
    places = [cpu] if device.type == "cpu" else [cpu, device]
    return Rates(
        {str(dtype).removeprefix("torch."): _matrix_rate(device, dtype, repeats, side) for dtype in dtypes},
        {place.type: _copy_rate(place, repeats, copy_bytes) for place in places},
    )


def _matrix_rate(device: torch.device, dtype: torch.dtype, repeats: int, side: int) -> float:
    first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)
    return 2 * side**3 / median_seconds(lambda: torch.mm(first, second, out=out), device, repeats, warm_up=2)


def _copy_rate(device: torch.device, repeats: int, size: int) -> float:
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / median_seconds(lambda: target.copy_(source), device, repeats, warm_up=2)
