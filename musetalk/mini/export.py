"""models/mini from what the recipe has trained: five networks in float16, and their training logs."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from safetensors.torch import save

from musetalk.checkpoint import read_state_dict
from musetalk.errors import WeightsError
from musetalk.models.audio_encoder import POSITIONS, load_audio_encoder
from musetalk.models.refiner import FILE_NAMES, read_refiner
from musetalk.models.unet import load_unet
from musetalk.models.vae import load_vae
from musetalk.training.export import export_pretrained, export_refiner
from musetalk.training.files import write_whole

TRAINED = ("vae", "decoder", "audio", "syncnet", "stage1", "stage2")


def export_model(work: Path, target: Path) -> None:
    """Write the folders vae, unet, refiner, audio_encoder and syncnet, and the logs of every training step.

    Args:
        work: Folder of the recipe.
        target: models/mini.

    Raises:
        WeightsError: A step was not done.
        OutputError: Something cannot be written.
    """
    results = work / "trained"
    syncnet = results / "syncnet/mini/syncnet.pt"
    logs = {step: results / step / "mini" / "losses.jsonl" for step in TRAINED}
    refined = [results / "stage2/mini/refiner" / name for name in FILE_NAMES]
    for path in (syncnet, *logs.values(), *refined):  # what is there now stays whole where something is missing
        if not path.is_file():
            raise WeightsError(f"{path} is missing", "Do all steps before the export: leave --steps out.")
    vae = load_vae(results / "stage2/mini/vae")
    unet = load_unet(results / "stage2/mini/musetalk.json", results / "stage2/mini/unet.pth")
    refiner = read_refiner(results / "stage2/mini/refiner")
    encoder = load_audio_encoder(results / "audio/mini/audio_encoder")
    config = {**vae.network.config, "sample_size": vae.face_size}
    export_pretrained(vae.network, target / "vae", config, dtype=torch.float16)
    export_pretrained(unet.network, target / "unet", dtype=torch.float16)
    export_refiner(refiner, target / "refiner", torch.float16)
    folder = target / "audio_encoder"
    config = encoder.network.config.to_dict()
    export_pretrained(encoder.network, folder, config, "model.safetensors", torch.float16, leave_out=(POSITIONS,))
    front = results / "audio/mini/audio_encoder/preprocessor_config.json"
    write_whole(folder / "preprocessor_config.json", front.read_bytes())
    _export_syncnet(results / "syncnet/mini", target / "syncnet")
    for old in target.glob("training_*.jsonl"):
        old.unlink()
    for step, log in logs.items():
        write_whole(target / f"training_{step}.jsonl", log.read_bytes())


def _export_syncnet(trained: Path, folder: Path) -> None:
    weights = {key: value.half().contiguous() for key, value in read_state_dict(trained / "syncnet.pt").items()}
    settings = yaml.safe_load((trained / "syncnet.yaml").read_text(encoding="utf-8"))
    settings["ckpt"] = {"inference_ckpt_path": (folder / "model.safetensors").as_posix()}
    write_whole(folder / "model.safetensors", save(weights))
    write_whole(folder / "syncnet.yaml", yaml.safe_dump(settings, sort_keys=False).encode())
