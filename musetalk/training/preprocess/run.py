"""The whole of preprocessing: videos to 25 fps, then windows to clips, then the lists."""

from __future__ import annotations

import functools
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from musetalk.errors import InputError, MuseTalkError, WeightsError
from musetalk.models.versions import VERSIONS
from musetalk.pipeline.backends import choose_backends
from musetalk.training.clip_meta import read_meta, write_list, write_meta
from musetalk.training.files import PARTIAL, cannot_write, remove, write_whole
from musetalk.training.preprocess.maker import ClipMaker
from musetalk.training.preprocess.normalise import VideoRecord, read_record, settings_of
from musetalk.training.preprocess.plan import RawVideo, find_videos, is_validation, windows
from musetalk.training.preprocess.settings import DETECT, Layout, PreprocessConfig
from musetalk.training.preprocess.summary import Summary, shortened, summary_json
from musetalk.training.preprocess.sync import SyncCheckFactory
from musetalk.training.preprocess.tasks import (
    ClipOutcome,
    MakerSettings,
    VideoTask,
    WindowRecord,
    WindowTask,
    finished,
    read_window_record,
    remove_clip,
)
from musetalk.training.preprocess.workers import Done, Workers
from musetalk.weights import download_command, missing_files

Task = TypeVar("Task", VideoTask, WindowTask)
Advance = Callable[[str, int, int], None]
"""Told the name of a step, how many of its tasks are done, and how many there are."""


def choose_finder(config: PreprocessConfig) -> tuple[str, tuple[str, ...]]:
    """The name of the face finder, and a line for the user where `auto` chose it.

    Raises:
        WeightsError: Its weights are missing.
    """
    if config.landmarks != DETECT:
        return "truth", ()
    choice = choose_backends(VERSIONS["v15"], config.models_dir, config.face_finder, "landmarks")
    missing = missing_files([choice.finder], config.models_dir)
    if missing:
        names = ", ".join(str(file.under(config.models_dir)) for file in missing)
        command = download_command([choice.finder], config.models_dir)
        raise WeightsError(
            f"weights of the face finder {choice.finder} are missing: {names}",
            f"Get them with `{command}`, or set face_finder: mediapipe.",
        )
    return choice.finder, choice.notes


def choose_sync_check(config: PreprocessConfig) -> SyncCheckFactory | None:
    """What loads the sync check in each process; None where clips are not checked.

    The network is loaded once here, so that what is wrong with it is found before any work.

    Raises:
        ConfigError: syncnet_config cannot be read or makes no SyncNet.
        WeightsError: The weights are missing or those of another network.
        DeviceError: There is no such GPU.
    """
    if config.syncnet is None:
        return None
    from musetalk.models.device import choose_placement
    from musetalk.training.clip_sync import load_sync_check

    device = str(choose_placement(config.gpu_id).device)
    factory = functools.partial(load_sync_check, config.syncnet_config, config.syncnet, device)
    factory()
    return factory


def preprocess(
    config: PreprocessConfig,
    finder: str,
    ffmpeg: str,
    *,
    sync_check: SyncCheckFactory | None = None,
    report: Callable[[str, MuseTalkError], None] = lambda name, error: None,
    advance: Advance = lambda step, done, total: None,
) -> Summary:
    """Make the training set, going on from where an earlier run stopped.

    Args:
        config: Checked.
        finder: From `choose_finder`.
        ffmpeg: The binary.
        sync_check: Loads the sync check, in each process; None: all clips count as in sync.
        report: Told of each video or clip that cannot be read, as it is found.
        advance: Told of the progress.

    Raises:
        InputError: There is no video, or another process works in these folders.
        OutputError: A result cannot be written.
    """
    videos = find_videos(config.video_root_raw)
    settings = MakerSettings(config, finder, ffmpeg, sync_check)
    layout = Layout.of(config)
    with locked(layout.lock), Workers(functools.partial(ClipMaker, settings), config.num_workers) as workers:
        remove_partial_files((layout.videos, layout.clips, layout.meta_root))
        names = [video.path.relative_to(config.video_root_raw).as_posix() for video in videos]
        write_whole(config.video_file_list, "".join(f"{name}\n" for name in names).encode())
        run = _Run(settings, workers, Summary(len(videos)), report, advance)
        run.normalise(videos)
        # Twins come first: the JSON of a clip names its twin where that has become a clip.
        run.make_windows([video for video in videos if video.twin_of is not None], "twins")
        run.make_windows([video for video in videos if video.twin_of is None], "clips")
        run.join_twins(videos)
        summary = run.summed_up(videos)
        write_lists(config, layout, summary)
        write_whole(layout.summary, summary_json(summary).encode())
    return summary


class _Run:
    """One run: what is known of each video and its windows so far."""

    def __init__(
        self,
        settings: MakerSettings,
        workers: Workers,
        summary: Summary,
        report: Callable[[str, MuseTalkError], None],
        advance: Advance,
    ) -> None:
        self._settings = settings
        self._layout = Layout.of(settings.config)
        self._workers = workers
        self._summary = summary
        self._report = report
        self._advance = advance
        self._videos: dict[str, VideoRecord] = {}
        self._windows: dict[str, list[WindowRecord]] = {}
        self._twin_names: dict[str, list[str]] = {}

    def normalise(self, videos: Sequence[RawVideo]) -> None:
        """Bring all videos to 25 fps."""
        for video in videos:
            if video.twin_of is not None:
                self._twin_names.setdefault(video.twin_of, []).append(video.name)
        tasks = []
        for video in videos:
            try:
                settings = settings_of(video)
            except InputError as error:
                self._fail(video.name, error)
                continue
            record = read_record(self._layout, video.name, settings)
            if record is None:
                tasks.append(VideoTask(video, settings))
            else:
                self._videos[video.name] = record
        for done in self._do(tasks, "videos"):
            self._videos[done.task.name] = done.result

    def make_windows(self, videos: Sequence[RawVideo], step: str) -> None:
        """Make the clips of all videos that could be read."""
        tasks = []
        for video in videos:
            record = self._videos.get(video.name)
            if record is None:
                continue
            planned = windows(video.name, record.sounding, self._settings.config.clip_frames)
            remove_stale_windows(self._layout, video.name, {window.name for window in planned})
            twins = [place for twin in self._twin_names.get(video.name, []) for place in self._twin(video, twin)]
            self._windows[video.name] = []
            for window in planned:
                inside = tuple((frames, path) for frames, path in twins if window.start <= frames[0] < window.stop)
                task = WindowTask(video, record, window, inside)
                known = finished(self._layout, task, self._settings)
                if known is None:
                    tasks.append(task)
                else:
                    self._windows[video.name].append(known)
                    self._summary.reused += 1
        for done in self._do(tasks, step):
            self._windows[done.task.video.name].append(done.result)

    def _twin(self, video: RawVideo, twin: str) -> list[tuple[tuple[int, int], Path]]:
        """JSON of each clip of one of the video's twins, with its frames."""
        if twin not in self._videos:
            return []
        frames, others = self._videos[video.name].frames, self._videos[twin].frames
        if frames != others:
            self._summary.notes.append(f"{twin} is not used as a twin: it has {others} frames, {video.name} {frames}.")
            return []
        return self._places(twin)

    def _places(self, video: str) -> list[tuple[tuple[int, int], Path]]:
        """JSON of each clip of a video that is kept, with its frames."""
        clips = clips_of(self._windows.get(video, ()))
        return [((clip.start, clip.stop), self._layout.meta(clip.name)) for clip in clips if clip.reason is None]

    def join_twins(self, videos: Sequence[RawVideo]) -> None:
        """Let the clips of a twin that has a sound of its own name the clips whose twin they are: both teach."""
        for video in videos:
            record = self._videos.get(video.name)
            if video.twin_of is None or record is None or not record.speaks:
                continue
            family = [video.twin_of, *self._twin_names[video.twin_of]]
            others = [name for name in family if name != video.name and name in self._videos]
            known = [
                place for name in others if self._videos[name].frames == record.frames for place in self._places(name)
            ]
            for own, path in self._places(video.name):
                twins = tuple(twin for frames, twin in known if frames == own)
                if (meta := read_meta(path)).twins != twins:
                    write_meta(path, replace(meta, twins=twins))

    def _do(self, tasks: Sequence[Task], step: str) -> Iterator[Done[Task]]:
        """Those of the tasks that succeed."""
        self._advance(step, 0, len(tasks))
        for count, done in enumerate(self._workers.run(tasks), 1):
            if done.error is None:
                yield done
            else:
                self._fail(done.task.name, done.error)
            self._advance(step, count, len(tasks))

    def _fail(self, name: str, error: MuseTalkError) -> None:
        self._summary.fail(name, error)
        self._report(name, error)

    def summed_up(self, videos: Sequence[RawVideo]) -> Summary:
        """The summary, with all that was kept and dropped."""
        summary = self._summary
        for name, record in self._videos.items():
            if record.dropped:
                summary.drop(name, record.dropped)
        for video in videos:
            clips = sorted(clips_of(self._windows.get(video.name, ())), key=lambda clip: clip.start)
            for clip in clips:
                if clip.reason is not None:
                    summary.drop(clip.name, clip.reason)
                elif video.twin_of is None or self._videos[video.name].speaks:
                    summary.kept.append(clip)
                else:
                    summary.twins += 1
        return summary


def clips_of(records: Iterable[WindowRecord]) -> Iterator[ClipOutcome]:
    """All clips of windows."""
    for record in records:
        yield from record.clips


def write_lists(config: PreprocessConfig, layout: Layout, summary: Summary) -> None:
    """Write both lists of clips; each clip goes to one of them."""
    entries = config.val_list_hdtf or []
    val = [clip.name for clip in summary.kept if is_validation(clip.name, entries)]
    train = [clip.name for clip in summary.kept if not is_validation(clip.name, entries)]
    write_list(config.video_clip_file_list_train, [layout.meta(name) for name in train])
    write_list(config.video_clip_file_list_val, [layout.meta(name) for name in val])
    summary.train, summary.val = len(train), len(val)
    unused = [entry for entry in entries if not any(entry in name for name in val)]
    if unused:
        summary.notes.append(
            f"{len(unused)} of {len(entries)} entries of val_list_hdtf name no clip: {shortened(unused)}"
        )


def remove_stale_windows(layout: Layout, video: str, planned: set[str]) -> None:
    """Remove what an earlier run made of windows that the video no longer has, with another clip_len_second say."""
    pattern = glob.escape(str(layout.record(f"{video}_clip"))[: -len(".json")]) + "*.json"
    for path in sorted(Path(found) for found in glob.glob(pattern)):
        name = path.relative_to(layout.meta_root / ".work").with_suffix("").as_posix()
        if name in planned or not name[len(f"{video}_clip") :].isdecimal():
            continue
        record = read_window_record(path)
        for clip in record.clips if record else ():
            remove_clip(layout, clip.name)
        remove(layout.track(name))
        remove(path)


def remove_partial_files(roots: Iterable[Path]) -> None:
    """Remove what killed runs were writing."""
    for root in roots:
        for path in root.rglob(f".musetalk-*{PARTIAL}*"):
            if path.is_file():
                remove(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other runs out of the folders while the block lasts.

    Raises:
        InputError: Another run is at work there.
    """
    import psutil

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            owner = int(path.read_text())
        except (FileNotFoundError, ValueError):
            owner = 0
        if owner not in (0, os.getpid()) and psutil.pid_exists(owner):
            raise InputError(
                f"{path}: process {owner} is preprocessing into the same folders",
                "Wait for it, or end it; if it is something else, remove this file.",
            )
        write_whole(path, str(os.getpid()).encode())
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        remove(path)
