"""Prepared avatars: prepare once, open in milliseconds, speak. The API for programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from musetalk.avatar.folder import CLIPS
from musetalk.avatar.manifest import GENERATING_PARTS, Manifest
from musetalk.avatar.preparation import prepare
from musetalk.avatar.prepared import PreparedFrames, PreparedStates
from musetalk.errors import InputError
from musetalk.pipeline.model import Model
from musetalk.pipeline.rendering import Rendering, render
from musetalk.pipeline.settings import DubSettings

if TYPE_CHECKING:
    from musetalk.streaming.settings import StreamSettings
    from musetalk.streaming.stream import SpeechStream


class Avatar:
    """A prepared avatar with the model that speaks for it; `Avatar.prepare` and `Avatar.open` make one.

    Several threads and streams may share one. A context manager, which closes the files.

    Attributes:
        model: The model.
        folder: Where it lies.
        manifest: What it was made from.
        frames: Its frames.
    """

    def __init__(self, model: Model, folder: Path, manifest: Manifest) -> None:
        self.model = model
        self.folder = folder
        self.manifest = manifest
        self.frames = PreparedFrames(folder, manifest)

    @classmethod
    def prepare(
        cls,
        model: Model,
        source: str | Path,
        folder: str | Path,
        settings: DubSettings | None = None,
        *,
        use_boxes: str | Path | None = None,
        save_boxes: str | Path | None = None,
        started: Callable[[int], None] | None = None,
        advance: Callable[[str], None] | None = None,
    ) -> Avatar:
        """Prepare an avatar, in place of an older one in that folder, and open it.

        Arguments and errors are those of `musetalk.avatar.preparation.prepare`.
        """
        prepare(
            model,
            source,
            folder,
            settings,
            use_boxes=use_boxes,
            save_boxes=save_boxes,
            started=started,
            advance=advance,
        )
        return cls.open(model, folder)

    @classmethod
    def open(cls, model: Model, folder: str | Path) -> Avatar:
        """Open a prepared avatar.

        Args:
            model: The model that it was prepared with; device and dtype may be others.
            folder: Its folder.

        Raises:
            InputError: There is none, it is not whole, or it was made with another version or other weights.
        """
        folder = Path(folder)
        manifest = Manifest.read(folder)
        wanted = {part: paths for part, paths in model.choice.weight_files.items() if part in GENERATING_PARTS}
        if manifest.version != model.spec.name:
            raise not_as_prepared(folder, [f"version ({manifest.version}, now {model.spec.name})"])
        if changed := manifest.changed_weights(wanted):
            raise not_as_prepared(folder, changed)
        manifest.check_files(folder)
        return cls(model, folder, manifest)

    def states(self) -> PreparedStates:
        """The frame states for the pipeline, forward and backward from the first frame on."""
        return PreparedStates(self.frames)

    def speak(
        self,
        audio: str | Path,
        output: str | Path | None,
        settings: DubSettings | None = None,
        *,
        started: Callable[[int], None] | None = None,
        advance: Callable[[str], None] | None = None,
    ) -> Rendering:
        """Let the avatar speak a sound file, into a video file of all its frames.

        Args:
            audio: A sound, or a video with sound.
            output: The mp4 to write; appears when it is whole. None: only generate and blend, to measure that.
            settings: Batch size and paddings of the sound; its geometry is that of the preparation.
            started: Called with the number of frames once it is known.
            advance: Called with the name of a stage for each frame that leaves it, from any thread.

        Raises:
            InputError: The sound cannot be used.
            OutputError: The result cannot be written.
        """
        return render(
            self.states(),
            Path(audio),
            Path(output) if output is not None else None,
            self.model,
            settings or DubSettings(),
            started=started,
            advance=advance,
        )

    def stream(
        self,
        settings: StreamSettings | None = None,
        *,
        paced: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> SpeechStream:
        """A live stream: push sound, iterate over frames.

        Streams share the networks; frames of several go through them together.

        Args:
            settings: Settings.
            paced: In real time: a frame is given when it is due, and the avatar rests while there is no sound. If not,
                frames are given as fast as their sound comes and their faces are made, and none without sound.
            clock: Seconds that never go back.
        """
        from musetalk.streaming.stream import SpeechStream, build_engine

        return SpeechStream(build_engine(self, settings, paced, clock))

    def close(self) -> None:
        """Let go of the files."""
        self.frames.close()

    def __enter__(self) -> Avatar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def clip_path(folder: Path, name: str) -> Path:
    """Where the clip of an avatar goes (published)."""
    return folder / CLIPS / f"{name}.mp4"


def not_as_prepared(folder: Path, differences: list[str]) -> InputError:
    """The error for an avatar that was made from something else than what is there today."""
    return InputError(
        f"{folder}: was prepared otherwise: {'; '.join(differences)}",
        "Prepare it again with --rebuild or preparation: true, or go back to what it was prepared with.",
    )
