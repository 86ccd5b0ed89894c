"""The one error that says an input is not usable, in words for the person who gave it."""

from __future__ import annotations

from os import PathLike


class InputError(ValueError):
    """An input that cannot be used.

    The text reads `<source>: <found>; expected <expected>`.

    Args:
        source: the file, folder or setting that is at fault.
        found: what was there.
        expected: what should have been there.
    """

    def __init__(self, source: str | PathLike[str], found: str, expected: str) -> None:
        # All three go to the base class, so that the error survives pickling between processes.
        super().__init__(str(source), found, expected)

    @property
    def source(self) -> str:
        """The file, folder or setting at fault."""
        return self.args[0]

    @property
    def reason(self) -> str:
        """The text without the source, for a table that names the source in a column of its own."""
        return f"{self.args[1]}; expected {self.args[2]}"

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


def input_error(error: BaseException | None) -> InputError | None:
    """Find the InputError that caused an error.

    MONAI's `Compose` raises a RuntimeError of its own when a transform fails, and keeps the first error as
    the cause.

    Args:
        error: any error.

    Returns:
        The error itself or the nearest of its causes that is an InputError; None where there is none.
    """
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return error
