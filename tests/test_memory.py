"""Peak memory does not grow with the length of the video."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from media_factory import write_sound, write_video

from musetalk.media.frames import open_source

REPOSITORY = Path(__file__).parent.parent
RATE = 5  # frames a second: ten minutes in a fifth of the time that 25 would take


def peak_gigabytes(folder, minutes):
    frames = list(open_source(REPOSITORY / "assets" / "demo" / "presenter.mp4").frames())
    write_video(folder / "video.mp4", islice(cycle(frames), minutes * 60 * RATE), rate=RATE)
    sound = np.random.default_rng(0).normal(0, 0.1, (1, minutes * 60 * 16000)).astype(np.float32)
    write_sound(folder / "sound.wav", sound, 16000)
    task = {"video_path": str(folder / "video.mp4"), "audio_path": str(folder / "sound.wav")}
    (folder / "tasks.yaml").write_text(json.dumps({"task": task}))
    command = [sys.executable, "-m", "scripts.inference", "--version", "mini", "--result_dir", str(folder / "results")]
    done = subprocess.run(
        [*command, "--inference_config", str(folder / "tasks.yaml")], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"peak memory ([\d.]+) GB", done.stdout)
    assert found is not None
    return float(found[1])


@pytest.mark.slow
def test_ten_minutes_need_no_more_memory_than_one(tmp_path):
    peaks = {}
    for minutes in (1, 10):
        folder = tmp_path / str(minutes)
        folder.mkdir()
        peaks[minutes] = peak_gigabytes(folder, minutes)
    print(f"peak memory: {peaks[1]} GB for one minute, {peaks[10]} GB for ten")
    assert peaks[10] <= 1.2 * peaks[1]
