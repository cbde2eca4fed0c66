"""The steps that make models/mini, each of which continues where it stopped."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from musetalk.mini import audio_encoder, autoencoder, unet
from musetalk.mini.corpus import write_scenes
from musetalk.mini.latents import PairSet, encode_part, encode_speech
from musetalk.synthetic.speech_corpus import read_speech, write_speech

STEPS = ("speech", "scenes", "vae", "audio", "latents", "unet", "export")


@dataclass(frozen=True)
class Recipe:
    """Amounts of data and training.

    Attributes:
        work: Folder of everything in between.
        head: The packed head model.
        utterances, parts: Training data; a part is 50 scenes of 6 mouths. Held-out data is a tenth.
        vae_steps, audio_steps, unet_steps: Optimiser steps.
    """

    work: Path
    head: Path
    utterances: int = 400
    parts: int = 50
    vae_steps: int = 2400
    audio_steps: int = 1200
    unet_steps: int = 5000

    def run(self, step: str, export_to: Path) -> None:
        """Do one of STEPS; the ones before it must be done."""
        if step == "export":
            self.export(export_to)
        else:
            getattr(self, step)()

    def speech(self) -> None:
        write_speech(self.work / "speech", 0, self.utterances, seed=1)
        write_speech(self.work / "speech_val", 0, max(1, self.utterances // 10), seed=2)

    def scenes(self) -> None:
        for name, parts, seed in (("", self.parts, 3), ("_val", max(1, self.parts // 10), 77)):
            corpus = read_speech(self.work / f"speech{name}")
            write_scenes(self.work / f"scenes{name}", self.head, corpus, 0, parts, seed, size=50)

    def vae(self) -> None:
        from musetalk.synthetic.appearance import dead_leaves

        parts = sorted((self.work / "scenes").glob("[0-9]*.npz"))
        faces = np.concatenate([np.load(part)["faces"][:, :2].reshape(-1, 256, 256, 3) for part in parts[:30]])
        leaves = np.stack([dead_leaves(np.random.default_rng((9, i)), 192) for i in range(1200)])
        autoencoder.fit(autoencoder.build(), faces, leaves, self.work / "vae.pt", steps=self.vae_steps)

    def audio(self) -> None:
        corpus, held_out = read_speech(self.work / "speech"), read_speech(self.work / "speech_val")
        audio_encoder.fit(corpus, held_out, self.work / "audio.pt", steps=self.audio_steps)

    def latents(self) -> None:
        network = self.trained_vae().to(memory_format=torch.channels_last)
        for name in ("scenes", "scenes_val"):
            target = self.work / f"{name}_latents"
            target.mkdir(exist_ok=True)
            for part in sorted((self.work / name).glob("[0-9][0-9][0-9][0-9].npz")):
                encode_part(network, part, target / part.name)

    def unet(self) -> None:
        encoder = self.trained_audio_encoder()
        corpus, held_out = read_speech(self.work / "speech"), read_speech(self.work / "speech_val")
        training, held_out_pairs = self.pairs("scenes"), self.pairs("scenes_val")
        unet.fit(
            unet.build(training.latents.shape[3], audio_encoder.WIDTH),
            training,
            held_out_pairs,
            [encode_speech(encoder, corpus, seed) for seed in range(3)],
            [encode_speech(encoder, held_out, 100)],
            self.work / "unet.pt",
            scale=unet.scale_of(training),
            steps=self.unet_steps,
        )

    def export(self, folder: Path) -> None:
        """Write the three networks as safetensors (float16) with their configurations, and the training logs."""
        from transformers import WhisperFeatureExtractor

        pairs = self.pairs("scenes")
        vae = self.trained_vae()
        vae.register_to_config(scaling_factor=unet.scale_of(pairs), sample_size=256)
        painter = unet.build(pairs.latents.shape[3], audio_encoder.WIDTH)
        painter.load_state_dict(averaged_weights(self.work / "unet.pt"))
        networks = {"vae": vae, "unet": painter, "audio_encoder": self.trained_audio_encoder()}
        for name, network in networks.items():
            network.half().save_pretrained(folder / name)
        WhisperFeatureExtractor().save_pretrained(folder / "audio_encoder")
        for log in ("vae", "audio", "unet"):
            shutil.copyfile(self.work / f"{log}.log.jsonl", folder / f"training_{log}.jsonl")

    def pairs(self, name: str) -> PairSet:
        return PairSet.read(self.work / f"{name}_latents")

    def trained_vae(self) -> Any:
        network = autoencoder.build()
        network.load_state_dict(averaged_weights(self.work / "vae.pt"))
        return network.eval()

    def trained_audio_encoder(self) -> Any:
        reader = audio_encoder.CurveReader(audio_encoder.build())
        reader.load_state_dict(averaged_weights(self.work / "audio.pt"))
        return reader.encoder.eval()


def averaged_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The exponential moving average that a checkpoint of `train` holds."""
    state = torch.load(checkpoint, weights_only=True)
    prefix = "module."
    return {key[len(prefix) :]: value for key, value in state["averaged"].items() if key.startswith(prefix)}
