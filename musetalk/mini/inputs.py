"""What each training step of the recipe is made from, so that nothing is kept that was made from something else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from musetalk.avatar.fingerprint import FileStamp
from musetalk.errors import TrainingError, WeightsError
from musetalk.training.files import write_whole

_CLIPS = ("train.txt", "val.txt")
_ENCODER, _READER = "trained/audio/mini/audio_encoder/model.safetensors", "trained/audio/mini/mouth_reader.safetensors"
_VAE, _DECODER = (f"trained/{step}/mini/vae/diffusion_pytorch_model.safetensors" for step in ("vae", "decoder"))
INPUTS: dict[str, tuple[str, ...]] = {
    "vae": _CLIPS,
    "decoder": (*_CLIPS, _VAE),
    "audio": ("speech", "speech_val"),
    "syncnet": _CLIPS,
    "stage1": (*_CLIPS, _DECODER, _ENCODER, _READER),
    "stage2": (*_CLIPS, _DECODER, _ENCODER, _READER, "trained/stage1/mini/unet.pth"),
}
"""Of the training steps: files, and folders of files, in the folder of the recipe."""


def check_inputs(step: str, work: Path) -> None:
    """Check that what was trained so far was trained from what is there now, and note what that is.

    Args:
        step: One of INPUTS.
        work: Folder of the recipe.

    Raises:
        WeightsError: A step before was not done.
        TrainingError: The step began with other data or networks.
    """
    paths = [work / name for name in INPUTS[step]]
    for path in paths:
        if not path.exists():
            raise WeightsError(f"{step}: {path} is missing", "Do all steps before it first: leave --steps out.")
    folder = work / "trained" / step
    note, now = folder / "inputs.sha256", _digest(paths)
    if any((folder / "mini" / "checkpoints").glob("checkpoint-*")) and note.is_file():
        if note.read_text(encoding="utf-8").strip() != now:
            raise TrainingError(
                f"{step}: {folder} was trained from other data, or networks, than there are now",
                "Remove that folder to train it again, or choose another --work.",
            )
        return
    write_whole(note, f"{now}\n".encode())


def _digest(paths: Iterable[Path]) -> str:
    """Of files by their content, of folders by the names and sizes in them."""
    digest = hashlib.sha256()
    for path in paths:
        if path.is_dir():
            facts = sorted(f"{entry.name}:{entry.stat().st_size}" for entry in path.glob("[0-9]*.npz"))
            digest.update("\n".join(facts).encode())
        else:
            digest.update(FileStamp.of(path).sha256.encode())
    return digest.hexdigest()
