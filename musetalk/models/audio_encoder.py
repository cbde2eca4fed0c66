"""The Whisper encoder: sound to hidden states of every layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.checkpoint import load_into, read_state_dict
from musetalk.errors import WeightsError
from musetalk.models.config_file import first_existing, read_network_config

if TYPE_CHECKING:
    from transformers import WhisperFeatureExtractor

WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
POSITIONS = "embed_positions.weight"
# How the encoder's keys begin in the files people have: a whole WhisperModel, one for generation, or the encoder alone.
_PREFIXES = ("encoder.", "model.encoder.", "")
_MEL_FRAMES_PER_STEP = 2  # the encoder's second convolution has stride 2


class AudioEncoder:
    """Hidden states of one segment of sound.

    It stays in float32 whatever the dtype of the image networks: it is small, and its published numbers are float32.

    Args:
        network: A transformers WhisperEncoder in eval mode.
        extractor: The log-mel front end that belongs to it.
    """

    def __init__(self, network: Any, extractor: WhisperFeatureExtractor) -> None:
        self.network = network
        self.extractor = extractor
        self.segment_steps = int(network.config.max_source_positions)
        self.states = int(network.config.encoder_layers) + 1
        self.width = int(network.config.d_model)

    @torch.inference_mode()
    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Hidden states (segment_steps, states, width), float32: the embedding, then each layer.

        Args:
            samples: (n,) float32 mono at 16 kHz, at most one segment; padded with silence to the whole of it.
        """
        mel = self.extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        parameter = next(self.network.parameters())
        output = self.network(mel.to(device=parameter.device, dtype=parameter.dtype), output_hidden_states=True)
        return torch.stack(output.hidden_states, dim=2)[0].float().cpu().numpy()


def load_audio_encoder(folder: Path) -> AudioEncoder:
    """The encoder of a folder with config.json, preprocessor_config.json and weights, in float32 on the CPU.

    Raises:
        WeightsError: A file is missing, unsafe or of another architecture.
    """
    config_path = folder / "config.json"
    network = build_audio_encoder(read_network_config(config_path), config_path)
    extractor = build_feature_extractor(read_network_config(folder / "preprocessor_config.json"), folder)
    weights = first_existing(folder, WEIGHT_NAMES)
    state_dict = read_state_dict(weights)
    prefix = next((p for p in _PREFIXES if p and any(key.startswith(p) for key in state_dict)), "")
    # WhisperModel's file holds the decoder too; load_into takes the keys of the prefix alone.
    # Whisper's positions are sinusoids, which the network makes itself where a file leaves them out.
    load_into(network, state_dict, weights, prefix=prefix, ignore=(POSITIONS,))
    mel_frames = network.config.max_source_positions * _MEL_FRAMES_PER_STEP
    if extractor.nb_max_frames != mel_frames or extractor.feature_size != network.config.num_mel_bins:
        raise WeightsError(
            f"{folder}: preprocessor_config.json gives {extractor.feature_size}×{extractor.nb_max_frames} mel frames, "
            f"config.json wants {network.config.num_mel_bins}×{mel_frames}",
            "Use the two files of the same model.",
        )
    return AudioEncoder(network.eval().requires_grad_(False), extractor)


def build_audio_encoder(config: dict[str, Any], path: Path) -> Any:
    """An untrained Whisper encoder.

    Raises:
        WeightsError: Settings that make no Whisper model.
    """
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    try:
        return WhisperEncoder(WhisperConfig(**config))
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a configuration of Whisper: {error}", "Use the file of the weights.") from None


def build_feature_extractor(config: dict[str, Any], folder: Path) -> WhisperFeatureExtractor:
    """The log-mel front end of a preprocessor_config.json.

    Raises:
        WeightsError: Settings that it does not take.
    """
    from transformers import WhisperFeatureExtractor

    try:
        return WhisperFeatureExtractor(**config)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"{folder / 'preprocessor_config.json'}: not a Whisper feature extractor: {error}",
            "Use the file of the weights.",
        ) from None
