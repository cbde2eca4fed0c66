"""Latents and sound in, faces out: the networks behind one object, without video, boxes or files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np
import torch

from musetalk.audio.features import AudioFeatures
from musetalk.face.landmarks import Box
from musetalk.models.batch_threads import BatchThreads
from musetalk.models.loading import Networks
from musetalk.models.vae import to_bgr, to_unit_range

T = TypeVar("T")


def cut_face(frame: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The box of a frame (H, W, 3) uint8, resized to (size, size, 3) with Lanczos-4 (published)."""
    x1, y1, x2, y2 = box
    return cv2.resize(frame[y1:y2, x1:x2], (size, size), interpolation=cv2.INTER_LANCZOS4)


class Generator:
    """Paints the lower half of faces to a sound. Stateless: several threads or streams may share one.

    Args:
        networks: VAE, UNet and audio encoder on one device.
    """

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.audio = AudioFeatures(networks.audio_encoder)
        self._threads = BatchThreads() if networks.unet.device.type == "cpu" else None

    @property
    def face_size(self) -> int:
        """Side of the faces in pixels."""
        return self.networks.vae.face_size

    @property
    def device(self) -> torch.device:
        return self.networks.unet.device

    def check_padding(self, left: int, right: int) -> None:
        """See `Unet.check_padding`."""
        self.networks.unet.check_padding(left, right, self.audio.encoder.states)

    @torch.inference_mode()
    def encode_faces(self, faces: Sequence[np.ndarray]) -> torch.Tensor:
        """UNet inputs of faces: latents of the face with its lower half black, then of the whole face as reference.

        Where the UNet asks for it, the reference is then given a resting mouth (see `Unet.rest_references`).

        Args:
            faces: n images (face_size, face_size, 3) BGR uint8.

        Returns:
            (n, 2·c, face_size/8, face_size/8) float32 on the networks' device.
        """
        vae = self.networks.vae
        reference = to_unit_range(np.stack(faces), vae.device)
        masked = reference.clone()
        masked[:, :, self.face_size // 2 :] = -1.0
        return self._rest_references(self._encode(torch.stack([masked, reference], dim=1)).flatten(1, 2))

    @torch.inference_mode()
    def with_references(self, latents: torch.Tensor, faces: Sequence[np.ndarray]) -> torch.Tensor:
        """UNet inputs that look at other faces than they are to show.

        Args:
            latents: (n, 2·c, h, w) float32 as from `encode_faces`.
            faces: n images (face_size, face_size, 3) BGR uint8.

        Returns:
            The same shape, on the networks' device.
        """
        seen = self._encode(to_unit_range(np.stack(faces), self.networks.vae.device)[:, None]).flatten(1, 2)
        return self._rest_references(torch.cat([latents[:, : -seen.shape[1]].to(seen.device), seen], dim=1))

    @torch.inference_mode()
    def generate(
        self, latents: torch.Tensor, windows: np.ndarray | torch.Tensor, visible_from: float = 0.0
    ) -> np.ndarray:
        """Faces that speak.

        Args:
            latents: (n, 2·c, h, w) as from `encode_faces`.
            windows: (n, tokens, width) audio windows as from `AudioFeatures`, without positions.
            visible_from: Share of the faces' height above which nothing of them is shown; it may then be black.

        Returns:
            (n, face_size, face_size, 3) BGR uint8.
        """
        tokens = torch.as_tensor(windows)

        def paint(part: slice) -> np.ndarray:
            predicted = self.networks.unet(latents[part], tokens[part])
            return to_bgr(self.networks.vae.decode(predicted, visible_from))

        return np.concatenate(self._parts(paint, len(latents)))

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        """Latents (n, k, c, h/8, w/8) float32 of images (n, k, 3, h, w); the k of a face stay together."""

        def encode(part: slice) -> torch.Tensor:
            return self.networks.vae.encode(images[part].flatten(0, 1)).float()

        return torch.cat(self._parts(encode, len(images))).unflatten(0, images.shape[:2])

    def _rest_references(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.cat(self._parts(lambda part: self.networks.unet.rest_references(latents[part]), len(latents)))

    def _parts(self, work: Callable[[slice], T], count: int) -> list[T]:
        return self._threads.run(work, count) if self._threads is not None else [work(slice(0, count))]
