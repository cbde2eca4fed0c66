"""The work on one video, and on one window of it; each can be done in any process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import cast

import numpy as np

from musetalk.errors import InputError
from musetalk.face.landmarks import Face
from musetalk.media.frames import open_source
from musetalk.training.clip_meta import ClipMeta, median_face_size, write_meta
from musetalk.training.clip_store import RegionWriter, region_box
from musetalk.training.files import remove
from musetalk.training.preprocess.cut import cut_picture, cut_sound
from musetalk.training.preprocess.faces import (
    CountingFinder,
    Track,
    find_track,
    load_track,
    no_track,
    read_truth,
    save_track,
    truth_track,
)
from musetalk.training.preprocess.judge import NO_SOUND, OUT_OF_SYNC, TOO_SHORT, Part, parts
from musetalk.training.preprocess.normalise import VideoRecord, normalise
from musetalk.training.preprocess.plan import Window
from musetalk.training.preprocess.settings import DETECT, Layout, sizes
from musetalk.training.preprocess.sync import SyncCheck, is_in_sync
from musetalk.training.preprocess.tasks import (
    ClipOutcome,
    MakerSettings,
    VideoTask,
    WindowRecord,
    WindowTask,
    is_whole,
    media_files,
    read_window_record,
    remove_clip,
    write_window_record,
)

SILENCE = 32
"""Samples of 16 bit up to this are silence (−60 dB)."""


class ClipMaker:
    """Does the work of one process; networks load when they are first needed."""

    def __init__(self, settings: MakerSettings) -> None:
        self._settings = settings
        self._config = settings.config
        self._layout = Layout.of(settings.config)
        self._finder: CountingFinder | None = None
        self._sync: SyncCheck | None = None
        self._last_cut: tuple[Window, np.ndarray] | None = None
        self._last_stored: Window | None = None

    def do(self, task: VideoTask | WindowTask) -> VideoRecord | WindowRecord:
        """Do the work and keep a record of it.

        Raises:
            InputError: The video cannot be used.
            OutputError: A result cannot be written.
        """
        if isinstance(task, VideoTask):
            return normalise(task.video, task.settings, self._layout, self._settings.ffmpeg)
        return self._window(task)

    def _window(self, task: WindowTask) -> WindowRecord:
        layout, name = self._layout, task.window.name
        old = read_window_record(layout.record(name))
        self._last_cut = self._last_stored = None
        # What is changed from here on must not be taken for finished after a kill.
        remove(layout.record(name))
        stale = {name, *(clip.name for clip in old.clips)} if old else {name}
        try:
            outcomes = self._outcomes(task, old)
            stale -= {clip.name for clip in outcomes}
        finally:
            for clip in stale:  # of an earlier run; or the window, cut for finding the faces whose shots are the clips
                remove_clip(layout, clip)
        record = WindowRecord(task.settings(self._settings), tuple(outcomes))
        write_window_record(layout.record(name), record)
        return record

    def _outcomes(self, task: WindowTask, old: WindowRecord | None) -> list[ClipOutcome]:
        layout, window = self._layout, task.window
        count = window.stop - window.start
        if count < self._config.min_clip_frames:
            return [self._drop(task, no_track(count, task.record.frame_size), Part(window.name, 0, count, TOO_SHORT))]
        track = self._track(task)
        known = {clip.name: clip for clip in old.clips if is_whole(layout, clip)} if old else {}
        return [self._clip(task, track, part, known.get(part.name)) for part in parts(window.name, track, self._config)]

    def _track(self, task: WindowTask) -> Track:
        layout, window = self._layout, task.window
        settings = task.track_settings(self._settings)
        track = load_track(layout.track(window.name), settings)
        if track is not None:
            return track
        if self._config.landmarks == DETECT:
            track = self._find(task)
        else:
            inside = slice(window.start, window.stop)
            landmarks, mouths = read_truth(task.video.truth, task.record.frames)
            mouths = None if mouths is None else mouths[inside]
            track = truth_track(landmarks[inside], mouths, task.record.frame_size)
        save_track(layout.track(window.name), track, settings)
        return track

    def _find(self, task: WindowTask) -> Track:
        """Find the faces of the window, and store its regions in the same pass: mostly the whole window is the clip."""
        window, size = task.window, task.record.frame_size
        self._cut(task, window)
        with self._region_writer(window, size) as writer:

            def store(frame: np.ndarray, face: Face | None) -> None:
                writer.write(frame, None if face is None else region_box(face, size))

            track = find_track(self._frames(window), self._loaded_finder(), size, store)
        self._last_stored = window
        return track

    def _clip(self, task: WindowTask, track: Track, part: Part, known: ClipOutcome | None) -> ClipOutcome:
        """Make the files of a part that is to be a clip, or remove those of one that is not."""
        layout = self._layout
        track = track[part.start : part.stop]
        if part.reason is not None:
            return self._drop(task, track, part)
        clip = Window(part.name, task.window.start + part.start, task.window.start + part.stop)
        done = ClipOutcome(
            *(clip.name, clip.start, clip.stop, None, task.record.settings), task.regions_settings(self._settings)
        )
        if known is None or replace(known, regions="", bytes=()) != replace(done, regions=""):
            samples = self._cut(task, clip)
            if task.video.twin_of is None and np.abs(samples.astype(np.int32)).max(initial=0) <= SILENCE:
                return self._drop(task, track, replace(part, reason=NO_SOUND))
            known = None
        if known is None or known.regions != done.regions:
            self._store(clip, track)
        meta = self._meta(task, track, part)
        if task.record.speaks and not self._is_in_sync(meta):
            return self._drop(task, track, replace(part, reason=OUT_OF_SYNC))
        write_meta(layout.meta(part.name), meta)
        return replace(done, bytes=tuple(sizes(media_files(layout, part.name))))

    def _drop(self, task: WindowTask, track: Track, part: Part) -> ClipOutcome:
        for path in media_files(self._layout, part.name):
            remove(path)
        write_meta(self._layout.meta(part.name), self._meta(task, track, part))
        first = task.window.start
        return ClipOutcome(part.name, first + part.start, first + part.stop, part.reason)

    def _cut(self, task: WindowTask, clip: Window) -> np.ndarray:
        """Cut picture and sound of a clip; its samples (n,) int16."""
        if self._last_cut is not None and self._last_cut[0] == clip:
            return self._last_cut[1]
        layout, name = self._layout, task.video.name
        samples = cut_sound(layout.video_sound(name), clip.start, clip.stop, layout.clip_sound(clip.name))
        cut_picture(layout.video(name), clip.start, clip.stop, samples, layout.clip(clip.name))
        self._last_cut = clip, samples
        return samples

    def _frames(self, clip: Window) -> Iterator[np.ndarray]:
        """The frames of a clip that was cut, exactly as many as it has."""
        path, wanted = self._layout.clip(clip.name), clip.stop - clip.start
        count = 0
        for frame in islice(open_source(path).frames(), wanted):
            count += 1
            yield frame
        if count != wanted:
            raise InputError(
                f"{path}: {count} of {wanted} frames can be decoded",
                f"Remove {self._layout.videos} and run again: it is made anew.",
            )

    def _store(self, clip: Window, track: Track) -> None:
        if self._last_stored == clip:
            return
        with self._region_writer(clip, track.frame_size) as writer:
            for index, frame in enumerate(self._frames(clip)):
                face = track.face(index)
                writer.write(frame, None if face is None else region_box(face, track.frame_size))

    def _region_writer(self, clip: Window, frame_size: tuple[int, int]) -> RegionWriter:
        path, count = self._layout.regions(clip.name), clip.stop - clip.start
        return RegionWriter(path, count, frame_size, self._config.region_max_side, self._config.region_quality)

    def _meta(self, task: WindowTask, track: Track, part: Part) -> ClipMeta:
        layout, kept = self._layout, part.reason is None
        start, stop = task.window.start + part.start, task.window.start + part.stop
        return ClipMeta(
            mp4_path=layout.clip(part.name),
            wav_path=layout.clip_sound(part.name),
            video_size=track.frame_size,
            face_size=median_face_size(track.detections),
            frames=len(track),
            detections=track.detections,
            landmarks=track.landmarks,
            isvalid=kept,
            regions_path=layout.regions(part.name) if kept else None,
            settings=task.settings(self._settings),
            dropped=part.reason,
            twins=tuple(path for frames, path in task.twins if frames == (start, stop)),
            mouths=track.mouths,
            source=layout.video(task.video.name),
            first_frame=start,
        )

    def _is_in_sync(self, meta: ClipMeta) -> bool:
        if self._settings.sync_check is None:
            return True
        if self._sync is None:
            self._sync = self._settings.sync_check()
        return is_in_sync(self._sync(meta), self._config.sync_max_offset, self._config.sync_min_confidence)

    def _loaded_finder(self) -> CountingFinder:
        if self._finder is None:
            from musetalk.models.device import choose_placement
            from musetalk.pipeline.backends import build_finder

            placement = choose_placement(self._config.gpu_id)
            finder = build_finder(self._settings.finder, self._config.models_dir, placement)
            self._finder = cast(CountingFinder, finder)  # all of them count
        return self._finder

    def close(self) -> None:
        """Free the face finder."""
        close = getattr(self._finder, "close", None)
        if close is not None:
            close()
