"""A maker for tests of processes; imports little, so that processes start fast."""

from __future__ import annotations

import os

from musetalk.errors import DeviceError, InputError, OutputError


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


def no_squarer():
    """In the place of Squarer where there is nothing to square with."""
    raise DeviceError("there is no calculator", "Buy one.")
