"""Which device and number format to run on, and saying so when it is not what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from musetalk.errors import DeviceError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Placement:
    """Where and how the networks run.

    Attributes:
        device: Of all networks.
        dtype: Of UNet and VAE; the audio encoder stays in float32.
        notes: One line for each thing that is not as asked for, for the user.
    """

    device: torch.device
    dtype: torch.dtype
    notes: tuple[str, ...] = ()


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX); emulation is slower than float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # no public name in torch yet
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def choose_placement(gpu_id: int = 0, dtype: str = "auto", use_float16: bool = False) -> Placement:
    """The device of --gpu_id and the dtype of --dtype and --use_float16.

    auto: float16 on CUDA, float32 on Apple's GPU, on a CPU bfloat16 where the hardware has it, else float32.
    A negative gpu_id asks for the CPU.

    Raises:
        DeviceError: There are CUDA devices, but not this one, or the dtype has another name than DTYPES.
    """
    notes: list[str] = []
    if gpu_id < 0:
        device = torch.device("cpu")
    elif torch.cuda.is_available():
        count = torch.cuda.device_count()
        if gpu_id >= count:
            raise DeviceError(f"there is no GPU {gpu_id}; this machine has {count}", f"Use --gpu_id 0 to {count - 1}.")
        device = torch.device("cuda", gpu_id)
    elif torch.backends.mps.is_available():
        device = torch.device("mps")
        notes.append("No CUDA device was found: running on Apple's GPU (mps).")
    else:
        device = torch.device("cpu")
        notes.append("No CUDA device was found: running on the CPU.")
    asked = "float16" if use_float16 and dtype == "auto" else dtype
    chosen, note = _choose_dtype(device, asked)
    return Placement(device, chosen, tuple(notes + ([note] if note else [])))


def _choose_dtype(device: torch.device, asked: str) -> tuple[torch.dtype, str | None]:
    if asked not in ("auto", *DTYPES):
        raise DeviceError(f"unknown dtype {asked!r}", f"Use auto, {', '.join(DTYPES)}.")
    if device.type == "cpu":
        best = "bfloat16" if cpu_has_bfloat16() else "float32"
        if asked == "auto":
            return DTYPES[best], None
        if asked == "float16":
            return DTYPES[best], f"float16 is slower than float32 on a CPU: using {best} instead."
        return DTYPES[asked], None
    if asked == "auto":
        return (torch.float16 if device.type == "cuda" else torch.float32), None
    return DTYPES[asked], None
