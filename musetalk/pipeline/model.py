"""A model version with everything around it: which files, finder, parser, device; and loaded."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from musetalk.audio.streaming_encoder import StreamingEncoder
from musetalk.face.landmarks import FaceFinder
from musetalk.face.masks import DEFAULT_CHEEK_WIDTH
from musetalk.face.parsing import FaceParser
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.models.device import Placement, choose_placement
from musetalk.models.loading import load_networks
from musetalk.models.versions import NetworkPaths, VersionSpec, find_version, network_paths
from musetalk.pipeline.backends import BackendChoice, build_finder, build_parser, choose_backends
from musetalk.pipeline.batcher import Batcher
from musetalk.pipeline.compositing import Compositor
from musetalk.pipeline.generator import Generator
from musetalk.pipeline.requirements import check_weights, weight_files

if TYPE_CHECKING:
    from typing_extensions import Unpack  # in typing from Python 3.11 on


class ModelOptions(TypedDict, total=False):
    """What may be chosen of a model version; see `ModelChoice.of`."""

    paths: NetworkPaths | None
    placement: Placement | None
    backends: BackendChoice | None
    parsing_mode: str | None
    left_cheek_width: int
    right_cheek_width: int
    ffmpeg_path: str | None


@dataclass(frozen=True)
class ModelChoice:
    """A model version, decided and checked, but not loaded. `ModelChoice.of` fills in what is not given.

    Attributes:
        spec: The version.
        paths: Files of the networks.
        backends: Face finder and parser.
        models_dir: Folder of all weights.
        placement: Device and dtype.
        parsing_mode: Mask: raw, jaw or neck.
        left_cheek_width: Of the jaw mask, in pixels of the 512×512 class map.
        right_cheek_width: Likewise.
        ffmpeg: The binary.
    """

    spec: VersionSpec
    paths: NetworkPaths
    backends: BackendChoice
    models_dir: Path
    placement: Placement
    parsing_mode: str
    left_cheek_width: int
    right_cheek_width: int
    ffmpeg: str

    @classmethod
    def of(
        cls,
        version: str = "v15",
        models_dir: str | Path = "models",
        *,
        paths: NetworkPaths | None = None,
        placement: Placement | None = None,
        backends: BackendChoice | None = None,
        parsing_mode: str | None = None,
        left_cheek_width: int = DEFAULT_CHEEK_WIDTH,
        right_cheek_width: int = DEFAULT_CHEEK_WIDTH,
        ffmpeg_path: str | None = None,
    ) -> ModelChoice:
        """Decide, and check that all files are there.

        Args:
            version: v1, v15 or mini.
            models_dir: Folder of the weights.
            paths: Files of the networks, where they are not the version's own.
            placement: Device and dtype; None: the best there is.
            backends: Face finder and parser; None: the published ones where their weights exist.
            parsing_mode: Mask: raw, jaw or neck; None: the version's own.
            left_cheek_width: Of the jaw mask, in pixels of the 512×512 class map.
            right_cheek_width: Likewise.
            ffmpeg_path: Binary or folder; None: found by itself.

        Raises:
            UsageError: There is no such version.
            WeightsError: Files are missing; all are named.
            DeviceError: There is no ffmpeg, or not the device asked for.
        """
        spec = find_version(version)
        paths = paths or network_paths(version, models_dir)
        backends = backends or choose_backends(spec, models_dir)
        check_weights(spec, paths, backends, models_dir)
        return cls(
            spec,
            paths,
            backends,
            Path(models_dir),
            placement or choose_placement(),
            parsing_mode or spec.parsing_mode,
            left_cheek_width,
            right_cheek_width,
            find_ffmpeg(ffmpeg_path),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """One line for each thing that was chosen and that the user should know."""
        return (*self.placement.notes, *self.backends.notes)

    @property
    def weight_files(self) -> dict[str, list[Path]]:
        """The files of each part: see `requirements.weight_files`."""
        return weight_files(self.paths, self.backends, self.models_dir)

    def load(self) -> Model:
        """Load the networks.

        Raises:
            WeightsError: Files are unusable.
        """
        return Model(self, Generator(load_networks(self.paths, self.placement)))


class Model:
    """A loaded model version. Several threads and streams may share one; `Model.load` makes one.

    Args:
        choice: What was loaded.
        generator: Its networks.
    """

    def __init__(self, choice: ModelChoice, generator: Generator) -> None:
        self.choice = choice
        self.generator = generator
        self.batcher = Batcher(generator)
        """In front of the generator: streams that ask at the same time share its passes."""
        self._lock = threading.Lock()
        self._streaming_encoder: StreamingEncoder | None = None

    @classmethod
    def load(cls, version: str = "v15", models_dir: str | Path = "models", **options: Unpack[ModelOptions]) -> Model:
        """Load a model version; arguments and errors are those of `ModelChoice.of`, and WeightsError for bad files."""
        return ModelChoice.of(version, models_dir, **options).load()

    def streaming_encoder(self) -> StreamingEncoder:
        """The audio encoder for sound that arrives; all streams share one."""
        with self._lock:
            if self._streaming_encoder is None:
                self._streaming_encoder = StreamingEncoder(self.generator.networks.audio_encoder)
            return self._streaming_encoder

    @property
    def compositor(self) -> Compositor:
        """Puts faces into frames as the version does."""
        return Compositor(self.generator.networks.refiner, self.spec.keeps_tone)

    @property
    def spec(self) -> VersionSpec:
        """The version."""
        return self.choice.spec

    @property
    def ffmpeg(self) -> str:
        """The ffmpeg binary."""
        return self.choice.ffmpeg

    @cached_property
    def finder(self) -> FaceFinder:
        """Finds faces; loaded when it is first used, which prepared avatars never do."""
        return build_finder(self.choice.backends.finder, self.choice.models_dir, self.choice.placement)

    @cached_property
    def parser(self) -> FaceParser:
        """Makes masks; loaded when it is first used."""
        choice = self.choice
        return build_parser(
            choice.backends.parser,
            choice.models_dir,
            choice.placement,
            mode=choice.parsing_mode,
            left_cheek_width=choice.left_cheek_width,
            right_cheek_width=choice.right_cheek_width,
        )
