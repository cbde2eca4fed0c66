"""A number that was measured, or the reason why it was not."""

from __future__ import annotations


class NotMeasurable(Exception):
    """A metric has no value for this entry; the message says why. It never reaches the user as an error."""

    @property
    def reason(self) -> str:
        return str(self)


Value = float | NotMeasurable
