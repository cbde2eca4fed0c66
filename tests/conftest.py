"""Lets every test import formula_weights from this folder, and SIGINT reach the commands that tests start."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what runs in its background, and so would every command that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
