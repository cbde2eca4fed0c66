"""What stops the recipe lets its command save first."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from musetalk.cli import Terminated
from musetalk.mini.calling import call

SAVES = """
import os, signal, sys
from pathlib import Path
def save(number, frame):
    sum(range(20_000_000))  # longer than Python's own patience with a child, 0.25 s
    Path(sys.argv[1]).write_text(str(number))
    sys.exit(1)
signal.signal(int(sys.argv[2]), save)
os.kill(os.getppid(), int(sys.argv[2]))
signal.pause()
"""


def test_the_exit_code_is_the_commands() -> None:
    assert call([sys.executable, "-c", "import sys; sys.exit(7)"]) == 7


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_is_passed_on_and_waited_for(tmp_path: Path, number: signal.Signals, error: type) -> None:
    before = signal.getsignal(number)
    with pytest.raises(error):
        call([sys.executable, "-c", SAVES, str(tmp_path / "saved"), str(int(number))])
    assert (tmp_path / "saved").read_text() == str(int(number))
    assert signal.getsignal(number) is before


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's end on Linux")
def test_a_command_does_not_outlive_a_recipe_that_was_killed() -> None:
    outer = (
        "import sys; from musetalk.mini.calling import call;"
        "call([sys.executable, '-c', 'import signal; print(\"runs\", flush=True); signal.pause()'])"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        process.kill()
        assert process.stdout.read() == ""  # the pipe ends when both have ended
