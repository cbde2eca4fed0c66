"""Puts this folder on the path, so that every test can import formula_weights."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
