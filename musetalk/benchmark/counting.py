"""How much work a face is: FLOPs of the networks and the bytes that must move at the least.

Nothing is computed for it: the networks run on torch's meta device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from musetalk.audio.windows import window_length
from musetalk.benchmark.networks import without_weights
from musetalk.models.loading import Networks

_META = torch.device("meta")


@dataclass(frozen=True)
class Work:
    """One pass of one network over one item.

    Attributes:
        flops: Of convolutions and matrix products, those of attention among them; a multiply-add counts as two.
        attention_flops: The part of them that is attention's own two products (scores, and values by scores). Counts
            from hooks on layers leave it out, the published one among them: 170 GFLOP for the UNet, which are 178 here.
        weights: Parameters that take part.
        values: Numbers in the tensors that go in and come out.
    """

    flops: int
    attention_flops: int
    weights: int
    values: int


@dataclass(frozen=True)
class NetworkWork:
    """Work of each network: one image, one image, one face, one segment of sound."""

    encode: Work
    decode: Work
    unet: Work
    features: Work


def count_work(networks: Networks) -> NetworkWork:
    """Count the work of networks; their weights are not read, nor their device or dtype."""
    meta = without_weights(networks)
    vae, unet, audio = meta.vae, meta.unet, meta.audio_encoder
    side = vae.face_size // 8
    tokens = window_length() * audio.states
    coder = vae.network
    return NetworkWork(
        _work(vae.encode, (1, 3, vae.face_size, vae.face_size), of=(coder.encoder, _part(coder, "quant_conv"))),
        _work(vae.decode, (1, vae.latent_channels, side, side), of=(coder.decoder, _part(coder, "post_quant_conv"))),
        _work(unet, (1, unet.in_channels, side, side), (1, tokens, unet.audio_width), of=(unet.network,)),
        _work(
            lambda mel: torch.stack(audio.network(mel, output_hidden_states=True).hidden_states),
            (1, audio.extractor.feature_size, audio.extractor.nb_max_frames),
            of=(audio.network,),
        ),
    )


def _part(network: Any, name: str) -> torch.nn.Module | None:
    return getattr(network, name, None)


def _work(run: Callable[..., torch.Tensor], *shapes: tuple[int, ...], of: tuple[torch.nn.Module | None, ...]) -> Work:
    inputs = [torch.empty(shape, device=_META) for shape in shapes]
    counter = FlopCounterMode(display=False)
    # no_grad and not inference_mode, in which some of torch's compound operations come undivided.
    with torch.no_grad(), counter:
        out = run(*inputs)
    by_operation = counter.get_flop_counts()["Global"]
    return Work(
        counter.get_total_flops(),
        sum(flops for operation, flops in by_operation.items() if _is_attention(str(operation))),
        sum(parameter.numel() for part in of if part is not None for parameter in part.parameters()),
        sum(tensor.numel() for tensor in (*inputs, out)),
    )


def _is_attention(operation: str) -> bool:
    # Attention is the only part of these networks that multiplies batches of matrices with each other.
    return "bmm" in operation or "attention" in operation
