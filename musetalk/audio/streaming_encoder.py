"""The Whisper encoder step by step: what is heard replaces silence in the caches of its attention."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from musetalk.audio.streaming_mel import LEAST_MAXIMUM, normalised
from musetalk.models.audio_encoder import AudioEncoder

MEL_FRAMES_PER_STEP = 2  # the second convolution has stride 2
_MEL_CONTEXT = 3  # mel frames that a step sees beyond its own two: two before, one after


class SegmentCache:
    """Keys and values of one segment, a pair of (heads, segment_steps, width / heads) tensors for each layer."""

    def __init__(self, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.layers = layers

    def clone(self) -> SegmentCache:
        return SegmentCache([(keys.clone(), values.clone()) for keys, values in self.layers])


class StreamingEncoder:
    """Hidden states of consecutive steps, each computed once, with the keys and values of the steps before it kept.

    Offline, every step attends to the whole segment, and what lies behind the end of the sound is silence. Here a
    segment's cache starts as that of a silent segment, and the steps replace it one by one, at the positions that they
    have offline. A step attends to the steps before it and to some silence behind the newest one.

    Many streams may share one of these: all that belongs to a stream is in its `SegmentCache`.

    Args:
        encoder: The encoder whose states are wanted.
    """

    @torch.inference_mode()
    def __init__(self, encoder: AudioEncoder) -> None:
        self.encoder = encoder
        network = encoder.network
        self._network = network
        self._layers: list[Any] = list(network.layers)
        parameter = next(network.parameters())
        self.device, self._dtype = parameter.device, parameter.dtype
        self._positions = network.embed_positions.weight
        self._silence = self._silent_cache()

    def new_cache(self) -> SegmentCache:
        """The cache of a segment of which nothing has been heard yet."""
        return self._silence.clone()

    @torch.inference_mode()
    def embed(self, mel: torch.Tensor, first: bool) -> torch.Tensor:
        """Output (n, width) of the two convolutions, without positions.

        Args:
            mel: (mels, 2n + 3) normalised mel frames: of n steps, two before them and one after.
            first: The steps are the first of the sound: the two mel frames before them do not exist.
        """
        mel = mel.to(device=self.device, dtype=self._dtype)
        if first:
            mel = torch.cat([torch.zeros_like(mel[:, :2]), mel[:, 2:]], dim=1)
        inner = F.gelu(F.conv1d(mel[None], self._network.conv1.weight, self._network.conv1.bias))
        if first:
            inner = torch.cat([torch.zeros_like(inner[..., :1]), inner[..., 1:]], dim=2)
        outer = F.gelu(F.conv1d(inner, self._network.conv2.weight, self._network.conv2.bias, stride=2))
        return outer[0].T

    @torch.inference_mode()
    def states(
        self, embedded: torch.Tensor, position: int, cache: SegmentCache, left: int, silence: int
    ) -> torch.Tensor:
        """Hidden states (n, states, width) float32, on the CPU, of the n steps at `position` of a segment.

        The cache then holds these steps; given again, with more known of what follows, they replace themselves.

        Args:
            embedded: (n, width) from `embed`.
            position: Place of the first of them in the segment.
            cache: Of that segment; holds all steps before `position`.
            left: Steps before them to attend to, at most.
            silence: Silent steps behind them to attend to, at most.
        """
        end = position + len(embedded)
        seen = slice(max(position - left, 0), end + silence)
        hidden = embedded + self._positions[position:end]
        found = [hidden]
        for layer, (keys, values) in zip(self._layers, cache.layers, strict=True):
            hidden = self._layer(layer, hidden, keys, values, position, seen)
            found.append(hidden)
        found[-1] = self._network.layer_norm(hidden)
        return torch.stack(found, dim=1).float().cpu()

    def _layer(
        self, layer: Any, hidden: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, position: int, seen: slice
    ) -> torch.Tensor:
        attention, count = layer.self_attn, len(hidden)
        inner = layer.self_attn_layer_norm(hidden)
        new = slice(position, position + count)
        keys[:, new] = _by_head(attention.k_proj(inner), len(keys))
        values[:, new] = _by_head(attention.v_proj(inner), len(keys))
        queries = _by_head(attention.q_proj(inner), len(keys))
        mixed = F.scaled_dot_product_attention(queries[None], keys[None, :, seen], values[None, :, seen])[0]
        hidden = hidden + attention.out_proj(mixed.transpose(0, 1).reshape(count, -1))
        return hidden + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden))))

    def _silent_cache(self) -> SegmentCache:
        """What the layers make of a whole segment without sound."""
        steps, config = self.encoder.segment_steps, self._network.config
        shape = (config.encoder_attention_heads, steps, config.d_model // config.encoder_attention_heads)
        cache = SegmentCache(
            [
                (
                    torch.zeros(shape, device=self.device, dtype=self._dtype),
                    torch.zeros(shape, device=self.device, dtype=self._dtype),
                )
                for _ in self._layers
            ]
        )
        frames = MEL_FRAMES_PER_STEP * steps + _MEL_CONTEXT
        mel = normalised(torch.full((config.num_mel_bins, frames), -torch.inf), LEAST_MAXIMUM)
        self.states(self.embed(mel, first=True), 0, cache, 0, 0)
        return cache


def _by_head(projected: torch.Tensor, heads: int) -> torch.Tensor:
    """(n, width) → (heads, n, width / heads)."""
    return projected.view(len(projected), heads, -1).transpose(0, 1)
