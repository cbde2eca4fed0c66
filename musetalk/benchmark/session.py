"""One run of the benchmark: the machine's rates, each stage, the whole pipeline, for every setting."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from musetalk.audio.windows import SAMPLE_RATE
from musetalk.benchmark.counting import count_work
from musetalk.benchmark.machine import Machine, load_average, measure_rates, now
from musetalk.benchmark.networks import obtain_networks
from musetalk.benchmark.results import Benchmark, Setting, Whole
from musetalk.benchmark.stages import Clip, frame_stages, in_order, network_stages, read_clip
from musetalk.face.masks import DEFAULT_CHEEK_WIDTH
from musetalk.media.audio_file import probe_audio
from musetalk.media.ffmpeg import find_ffmpeg
from musetalk.media.frames import open_source
from musetalk.models.device import DTYPES, Placement
from musetalk.models.loading import place
from musetalk.models.versions import find_version, network_paths
from musetalk.pipeline.backends import choose_backends
from musetalk.pipeline.dubbing import Dubber
from musetalk.pipeline.generator import Generator
from musetalk.pipeline.model import Model, ModelChoice
from musetalk.pipeline.settings import DubSettings
from musetalk.report import peak_memory
from musetalk.synthetic.truth import write_wav


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        version: Whose networks.
        models_dir: Folder of the weights.
        video: The clip.
        audio: The sound.
        frames: Frames of the clip.
        dtypes: Of UNet and VAE, names of DTYPES.
        batch_sizes: Faces in one pass.
        device: Of the networks.
        repeats: Runs of each stage, of which the median counts; one more comes first.
        whole_repeats: Runs of the whole pipeline; 0: none.
    """

    version: str
    models_dir: Path
    video: Path
    audio: Path
    frames: int
    dtypes: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    device: torch.device
    repeats: int
    whole_repeats: int = 1


def run_benchmark(plan: Plan, say: Callable[[str], None] = lambda line: None) -> Benchmark:
    """Measure everything.

    Args:
        plan: What.
        say: Takes a line about what is going on.

    Raises:
        InputError: The video or sound cannot be used.
        WeightsError: Files of a version that comes with the project are missing.
    """
    date, load_before = now(), load_average()
    open_source(plan.video)  # what can fail does so before the slow work
    probe_audio(plan.audio)
    model, trained = _model(plan, say)
    work = count_work(model.generator.networks)
    say("Measuring the machine.")
    rates = measure_rates(plan.device, _measured_dtypes(plan.dtypes), plan.repeats)
    clip = read_clip(model, plan.video, plan.audio, plan.frames)
    settings = []
    with tempfile.TemporaryDirectory(prefix="musetalk-benchmark-") as name:
        folder = Path(name)
        say("Timing the stages that do not depend on dtype and batch size.")
        shared = list(frame_stages(model, clip, work, plan.repeats, folder))
        for dtype in plan.dtypes:
            place(model.generator.networks, plan.device, DTYPES[dtype])
            for batch in plan.batch_sizes:
                say(f"Timing {dtype}, batch size {batch}.")
                networks = list(network_stages(model, clip, work, batch, plan.repeats))
                whole = _whole(model, clip, batch, plan.whole_repeats, folder) if plan.whole_repeats else None
                settings.append(Setting(dtype, batch, in_order([*shared, *networks]), whole))
    backends, load_after = model.choice.backends, load_average()
    return Benchmark(
        plan.version,
        trained,
        f"{backends.finder}, {backends.parser}",
        date,
        (load_before, load_after) if load_before is not None and load_after is not None else None,
        plan.repeats,
        Machine.of(plan.device),
        rates,
        clip.facts,
        tuple(settings),
        peak_memory(),
    )


def _measured_dtypes(names: Sequence[str]) -> list[torch.dtype]:
    """Those of the settings, and float32, in which the audio encoder works."""
    return [DTYPES[name] for name in dict.fromkeys(("float32", *names))]


def _model(plan: Plan, say: Callable[[str], None]) -> tuple[Model, bool]:
    spec = find_version(plan.version)
    backends = choose_backends(spec, plan.models_dir)
    ffmpeg = find_ffmpeg(None)
    networks, trained = obtain_networks(plan.version, plan.models_dir, backends)
    place(networks, plan.device, DTYPES[plan.dtypes[0]])  # before the generator asks on what they run
    for note in backends.notes:
        say(note)
    if not trained:
        say(f"{plan.version}: its weights are not all under {plan.models_dir}: random ones, in the published size.")
    choice = ModelChoice(
        spec,
        network_paths(plan.version, plan.models_dir),
        backends,
        plan.models_dir,
        Placement(plan.device, DTYPES[plan.dtypes[0]]),
        spec.parsing_mode,
        DEFAULT_CHEEK_WIDTH,
        DEFAULT_CHEEK_WIDTH,
        ffmpeg,
    )
    return Model(choice, Generator(networks)), trained


def _whole(model: Model, clip: Clip, batch: int, repeats: int, folder: Path) -> Whole:
    """Dub the first frames of the clip, files in and a file out."""
    info = clip.source.info
    samples = clip.samples[: math.ceil(len(clip.frames) * SAMPLE_RATE / info.fps)]
    audio = folder / "speech.wav"
    write_wav(audio, samples)
    runs = [
        Dubber(model).dub(info.path, audio, folder / "whole.mp4", DubSettings(batch_size=batch)) for _ in range(repeats)
    ]
    stages = {stage.name: stage.seconds for stage in runs[-1].stages}
    return Whole(runs[-1].frames, median(run.seconds for run in runs), stages)
