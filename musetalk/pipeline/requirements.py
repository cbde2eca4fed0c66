"""All weight files that a run needs, checked before any work starts, all missing ones named at once."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from musetalk.errors import WeightsError
from musetalk.models import audio_encoder, refiner, vae
from musetalk.models.config_file import first_existing
from musetalk.models.versions import NetworkPaths, VersionSpec
from musetalk.pipeline.backends import BackendChoice
from musetalk.weights import FILES, download_command, files_for, missing_files


def weight_files(paths: NetworkPaths, backends: BackendChoice, models_dir: str | Path) -> dict[str, list[Path]]:
    """Every file that will be opened, by the part that reads it.

    The parts: unet, vae, audio_encoder, refiner, face_finder, parser.

    Where one of several names will do, the one that exists, else the published one.
    """
    return {
        "unet": [paths.unet_config, paths.unet_weights],
        "vae": [paths.vae / "config.json", _weights_in(paths.vae, vae.WEIGHT_NAMES, models_dir)],
        "audio_encoder": [
            paths.audio_encoder / "config.json",
            paths.audio_encoder / "preprocessor_config.json",
            _weights_in(paths.audio_encoder, audio_encoder.WEIGHT_NAMES, models_dir),
        ],
        "refiner": [] if paths.refiner is None else [paths.refiner / name for name in refiner.FILE_NAMES],
        "face_finder": [file.under(models_dir) for file in files_for([backends.finder])],
        "parser": [file.under(models_dir) for file in files_for([backends.parser])],
    }


def _weights_in(folder: Path, names: tuple[str, ...], models_dir: str | Path) -> Path:
    found = first_existing(folder, names)
    if found.is_file():
        return found
    published = {file.under(models_dir) for file in FILES}
    return next((folder / name for name in names if folder / name in published), found)


def check_weights(spec: VersionSpec, paths: NetworkPaths, backends: BackendChoice, models_dir: str | Path) -> None:
    """Check that all files are there.

    Raises:
        WeightsError: Some are not; names all of them and the command that gets them.
    """
    needed = chain.from_iterable(weight_files(paths, backends, models_dir).values())
    missing = [path for path in dict.fromkeys(needed) if not path.is_file()]
    if not missing:
        return
    count = "1 weight file is" if len(missing) == 1 else f"{len(missing)} weight files are"
    raise WeightsError(
        f"{count} missing for {spec.name}: {', '.join(str(path) for path in missing)}",
        _fix(spec, missing, backends, models_dir),
    )


def _fix(spec: VersionSpec, missing: list[Path], backends: BackendChoice, models_dir: str | Path) -> str:
    downloadable = [name for name in (spec.name, backends.finder, backends.parser) if missing_files([name], models_dir)]
    fixes = []
    if downloadable:
        fixes.append(f"Get them with `{download_command(downloadable, models_dir)}`.")
        if not spec.bundled:
            fixes.append("Or run the bundled model: --version mini.")
    elif not spec.bundled:
        fixes.append("Check the paths of --unet_config, --unet_model_path, --vae_type and --whisper_dir.")
    if spec.bundled and not {file.under(models_dir) for file in FILES}.issuperset(missing):
        fixes.append(
            f"The files of {spec.name} are part of the project: get it whole, and check --models_dir and the paths of "
            "--unet_config, --unet_model_path, --vae_type and --whisper_dir."
        )
    return " ".join(fixes)
