"""The errors users see: one line of what is wrong, one line of how to fix it, and the exit code of a command."""

from __future__ import annotations


class MuseTalkError(Exception):
    """An expected failure.

    Args:
        what: One line saying what is wrong, naming the file, key or value.
        fix: One line saying what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what}\n{self.fix}"

    def __reduce__(self) -> tuple[type[MuseTalkError], tuple[str, str]]:
        """Whole across processes, where Exception would forget `fix`."""
        return type(self), (self.what, self.fix)


class UsageError(MuseTalkError):
    """A command line that cannot be understood."""

    exit_code = 2


class ConfigError(MuseTalkError):
    """A YAML file or override with an unknown key, a wrong type or a missing value."""


class InputError(MuseTalkError):
    """A video, image, sound or box file that cannot be used."""


class WeightsError(MuseTalkError):
    """A checkpoint that is missing, of the wrong shape or not safe to read."""


class OutputError(MuseTalkError):
    """A result that cannot be written."""


class DeviceError(MuseTalkError):
    """A device, dtype or external program that is not available."""


class TrainingError(MuseTalkError):
    """A training run that cannot go on."""
