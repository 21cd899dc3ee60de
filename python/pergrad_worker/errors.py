"""Errors with codes, the same as in TypeScript."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class PergradError(Exception):
    """An error that a user can act on: a stable `code`, and a message of one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[PergradError], tuple[str, str]]:
        # Engines send errors from one process to another.
        return (type(self), (self.code, self.message))


class NotFinite(PergradError):
    """Some gradients are not finite; `samples` are the numbers of these samples, counted from where the computation started."""

    def __init__(self, message: str, samples: tuple[int, ...]) -> None:
        super().__init__("NOT_FINITE", message)
        self.samples = samples

    def __reduce__(self) -> tuple[type[PergradError], tuple[str, tuple[int, ...]]]:  # type: ignore[override]
        return (type(self), (self.message, self.samples))


def first_few(numbers: Sequence[int]) -> str:
    """The first five of some numbers, as messages name them."""
    more = len(numbers) - 5
    return ", ".join(map(str, numbers[:5])) + (f" and {more} more" if more > 0 else "")


@contextmanager
def reading(path: str, row_group: int) -> Iterator[None]:
    """Raises PergradError FILE_UNREADABLE if libraries cannot read a row group."""
    try:
        yield
    except PergradError:
        raise
    except Exception as error:
        text = str(error).split("\n")[0].rstrip(".")
        raise PergradError("FILE_UNREADABLE", f'Cannot read row group {row_group} of "{path}": {text}.') from error


class counted_from:
    """Adds to an error from where its samples are counted."""

    def __init__(self, path: str, row_group: int) -> None:
        self._where = f'In row group {row_group} of "{os.path.basename(path)}", counted from its start: '

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, NotFinite):
            raise NotFinite(self._where + error.message, error.samples) from error
        if isinstance(error, PergradError) and error.code != "FILE_UNWRITABLE":
            raise PergradError(error.code, self._where + error.message) from error
