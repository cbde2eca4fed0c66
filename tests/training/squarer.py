"""A maker for tests of processes; imports little, so that processes start fast."""

from __future__ import annotations

import os

from musetalk.errors import InputError, OutputError


class Squarer:
    """Squares numbers, some of which go wrong."""

    def do(self, task):
        if task < 0:
            raise InputError(f"{task} is negative", "Take another.")
        if task == 13:
            os._exit(3)  # as if killed for memory
        if task == 99:
            raise OutputError("the disk is full", "Free some.")
        return task * task, os.getpid()

    def close(self):
        pass
