"""Latents and sound in, faces out: the networks behind one object, without video, boxes or files."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from musetalk.audio.features import AudioFeatures
from musetalk.face.landmarks import Box
from musetalk.models.loading import Networks
from musetalk.models.vae import to_bgr, to_unit_range


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

    @property
    def face_size(self) -> int:
        """Side of the faces in pixels."""
        return self.networks.vae.face_size

    @property
    def device(self) -> torch.device:
        return self.networks.unet.device

    @torch.inference_mode()
    def encode_faces(self, faces: Sequence[np.ndarray]) -> torch.Tensor:
        """UNet inputs of faces: latents of the face with its lower half black, then of the whole face as reference.

        Args:
            faces: n images (face_size, face_size, 3) BGR uint8.

        Returns:
            (n, 2·c, face_size/8, face_size/8) float32 on the networks' device.
        """
        vae = self.networks.vae
        reference = to_unit_range(np.stack(faces), vae.device)
        masked = reference.clone()
        masked[:, :, self.face_size // 2 :] = -1.0
        latents = vae.encode(torch.cat([masked, reference])).float()
        return torch.cat(latents.chunk(2), dim=1)

    @torch.inference_mode()
    def encode_references(self, faces: Sequence[np.ndarray]) -> torch.Tensor:
        """The second half of the channels that `encode_faces` gives, for faces that are only looked at."""
        vae = self.networks.vae
        return vae.encode(to_unit_range(np.stack(faces), vae.device)).float()

    @torch.inference_mode()
    def generate(self, latents: torch.Tensor, windows: np.ndarray | torch.Tensor) -> np.ndarray:
        """Faces that speak.

        Args:
            latents: (n, 2·c, h, w) as from `encode_faces`.
            windows: (n, tokens, width) audio windows as from `AudioFeatures`, without positions.

        Returns:
            (n, face_size, face_size, 3) BGR uint8.
        """
        predicted = self.networks.unet(latents, torch.as_tensor(windows))
        return to_bgr(self.networks.vae.decode(predicted))
