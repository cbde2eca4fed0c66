"""What a prepared avatar was made from, so that one that no longer fits is never used by mistake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from musetalk.avatar.fingerprint import FileStamp, Stamps, all_fit, stamps_of
from musetalk.errors import InputError
from musetalk.media.color import ColorTags
from musetalk.media.frame_source import SourceInfo
from musetalk.pipeline.model import ModelChoice
from musetalk.pipeline.settings import DubSettings, FaceSettings

NAME = "manifest.json"
SCHEMA = 1
"""Of the folder as a whole; another one cannot be opened."""

_PARTS = {  # of the model that a preparation depends on, as differences name them
    "unet": "the weights of the UNet",
    "vae": "the weights of the VAE",
    "audio_encoder": "the weights of the audio encoder",
    "face_finder": "the weights of the face finder",
    "parser": "the weights of the parser",
}
GENERATING_PARTS = ("unet", "vae", "audio_encoder")


@dataclass(frozen=True)
class Recipe:
    """All that decides what a preparation makes.

    Attributes:
        version: Model version.
        source: The video, image or folder.
        settings: Everything that was set, as applied to the version, by name; texts, numbers, truth values.
        weights: Weight files by the part that reads them.
    """

    version: str
    source: Path
    settings: dict[str, Any]
    weights: dict[str, list[Path]]

    @classmethod
    def of(cls, choice: ModelChoice, source: Path, settings: DubSettings, use_boxes: Path | None = None) -> Recipe:
        """The recipe of a preparation; its arguments are those of `musetalk.avatar.preparation.prepare`.

        Raises:
            InputError: The box file cannot be read.
        """
        faces = face_settings(choice, settings)
        return cls(
            choice.spec.name,
            source,
            {
                "fps": None if settings.fps is None else str(settings.fps),
                "bbox_shift": faces.bbox_shift,
                "extra_margin": faces.extra_margin,
                "smooth_boxes": faces.smoothing,
                "parsing_mode": choice.parsing_mode,
                "left_cheek_width": choice.left_cheek_width,
                "right_cheek_width": choice.right_cheek_width,
                "face_finder": choice.backends.finder,
                "parser": choice.backends.parser,
                "mask_blur": faces.blur,
                "fade_inside": faces.fade_inside,
                "boxes": "found" if use_boxes is None else f"sha256 {FileStamp.of(use_boxes).sha256}",
            },
            {part: paths for part, paths in choice.weight_files.items() if part in _PARTS},
        )


def face_settings(choice: ModelChoice, settings: DubSettings) -> FaceSettings:
    """Geometry of a prepared avatar: that of dubbing; published versions have another mask blur."""
    return FaceSettings.of(choice.spec, settings, blur="prepared")


@dataclass(frozen=True)
class Manifest:
    """What manifest.json holds.

    Attributes:
        version: Model version.
        source: Path of the source when it was prepared.
        source_files: Its content.
        settings: See `Recipe`.
        weights: Content of the weight files, by part.
        info: Size, rate and colours of the frames; its path is that of the source.
        frames: How many frames.
        faces: How many of them have a face.
        files: Size in bytes of each file of the avatar, by name.
    """

    version: str
    source: Path
    source_files: Stamps
    settings: dict[str, Any]
    weights: dict[str, Stamps]
    info: SourceInfo
    frames: int
    faces: int
    files: dict[str, int]

    @classmethod
    def of(cls, recipe: Recipe, info: SourceInfo, frames: int, faces: int, folder: Path) -> Manifest:
        """The manifest of an avatar whose other files are in `folder`.

        Raises:
            InputError: A file that it was made from has gone.
        """
        return cls(
            recipe.version,
            recipe.source,
            stamps_of([recipe.source]),
            recipe.settings,
            {part: stamps_of(paths) for part, paths in recipe.weights.items()},
            info,
            frames,
            faces,
            {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        )

    def differences(self, recipe: Recipe) -> list[str]:
        """What would be made otherwise today, in words; a source that is not there any more is not compared."""
        if recipe.version != self.version:
            return [f"version ({self.version}, now {recipe.version})"]
        found = []
        if recipe.source.exists() and not all_fit(self.source_files, [recipe.source]):
            found.append(f"the source {recipe.source}")
        for name, now in recipe.settings.items():
            before = self.settings.get(name)
            if before != now:
                found.append(f"{name} ({_word(before)}, now {_word(now)})")
        return found + self.changed_weights(recipe.weights)

    def changed_weights(self, weights: Mapping[str, list[Path]]) -> list[str]:
        """Which of these parts have other weights than those that it was made with, in words."""
        return [_PARTS[part] for part, paths in weights.items() if not all_fit(self.weights.get(part, {}), paths)]

    def write(self, folder: Path) -> None:
        """Write the manifest into a folder."""
        info = self.info
        content = {
            "schema": SCHEMA,
            "version": self.version,
            "source": {"path": str(self.source), "files": _json_of(self.source_files)},
            "settings": self.settings,
            "weights": {part: _json_of(stamps) for part, stamps in self.weights.items()},
            "frames": {
                "count": self.frames,
                "with_face": self.faces,
                "width": info.width,
                "height": info.height,
                "fps": str(info.fps),
                "sample_aspect": str(info.sample_aspect),
                "color": asdict(info.color),
            },
            "files": self.files,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / NAME).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of an avatar.

        Raises:
            InputError: There is none, it is of another release, or damaged.
        """
        path = folder / NAME
        fix = "Prepare the avatar: set preparation: true, or give --rebuild."
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{folder}: there is no prepared avatar", fix) from None
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}", fix) from None
        schema = content.get("schema") if isinstance(content, dict) else None
        if schema != SCHEMA:
            raise InputError(f"{path}: is of schema {schema}, this release reads {SCHEMA}", fix)
        try:
            return cls._from_json(content)
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise InputError(f"{path}: is damaged: {error!r}", fix) from None

    @classmethod
    def _from_json(cls, content: dict[str, Any]) -> Manifest:
        frames = content["frames"]
        source = Path(content["source"]["path"])
        info = SourceInfo(
            source,
            int(frames["width"]),
            int(frames["height"]),
            Fraction(frames["fps"]),
            int(frames["count"]),
            is_image=int(frames["count"]) == 1,
            color=ColorTags(**frames["color"]),
            sample_aspect=Fraction(frames["sample_aspect"]),
        )
        return cls(
            str(content["version"]),
            source,
            _stamps_from(content["source"]["files"]),
            dict(content["settings"]),
            {part: _stamps_from(stamps) for part, stamps in content["weights"].items()},
            info,
            int(frames["count"]),
            int(frames["with_face"]),
            {str(name): int(size) for name, size in content["files"].items()},
        )

    def check_files(self, folder: Path) -> None:
        """Check that all files are there in full length.

        Raises:
            InputError: One is not.
        """
        for name, size in self.files.items():
            path = folder / name
            if not path.is_file() or path.stat().st_size != size:
                raise InputError(
                    f"{path}: is missing or of another length than the manifest says",
                    "Prepare the avatar again with --rebuild.",
                )


def _json_of(stamps: Stamps) -> dict[str, Any]:
    return {name: asdict(stamp) for name, stamp in stamps.items()}


def _stamps_from(content: Mapping[str, Any]) -> Stamps:
    return {name: FileStamp.from_json(stamp) for name, stamp in content.items()}


def _word(value: Any) -> str:
    return "its own" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
