"""Files of results: written aside and renamed, so that each is whole or not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from .errors import PergradError

KEY = "pergrad.part"
"""The key of what a part's files say of themselves."""

SUMS = "sums.safetensors"
DONE = "done.json"

JOB = "PERGRAD_JOB"
"""The variable of the environment that names a job, so that its unfinished files are told from those of others."""

ABANDONED = 3600.0
"""Seconds after which an unfinished file that nobody writes to is what a killed process has left."""


def part_file(out_dir: str, part: int) -> str:
    """Where the results of a part's samples are, `part-00003.parquet`: written last, so a part that has it is done."""
    return os.path.join(out_dir, f"part-{part:05d}.parquet")


def sums_file(out_dir: str, part: int) -> str:
    """Where a part's sums are, if the program has sums."""
    return os.path.join(out_dir, f"part-{part:05d}.{SUMS}")


@contextmanager
def written(path: str) -> Iterator[str]:
    """A name to write to, which becomes `path` when all is written. Raises PergradError FILE_UNWRITABLE."""
    aside = f"{path}.{os.environ.get(JOB, 'alone')}.{uuid.uuid4().hex}.partial"
    try:
        yield aside
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except PergradError:
        raise
    except Exception as error:
        # Libraries report a full disk with errors of their own.
        if not isinstance(error, OSError) and not _is_full(error):
            raise
        raise _unwritable(path, error) from error
    finally:
        if os.path.exists(aside):
            os.unlink(aside)


def remove_unfinished(folder: str) -> None:
    """Removes files that this job's workers left when they were killed, and files that other jobs abandoned.

    Another call may write into the same folder at the same time.
    """
    own = os.environ.get(JOB)
    for entry in os.scandir(folder):
        if not entry.name.endswith(".partial"):
            continue
        with suppress(FileNotFoundError):
            old = time.time() - entry.stat().st_mtime > ABANDONED
            if old or (own is not None and f".{own}." in entry.name):
                os.unlink(entry.path)


def reopen(folder: str) -> None:
    """Removes the mark that a folder is done, because parts of it are missing."""
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(os.path.join(folder, DONE))


def make_folder(path: str) -> None:
    """Creates a folder, and its parent folders, if they are missing. Raises PergradError FILE_UNWRITABLE."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: Exception) -> PergradError:
    if _is_full(error):
        reason = "no space is left on its disk; make room, and go on"
    elif isinstance(error, FileExistsError | NotADirectoryError):
        reason = "there is a file where a folder must be; give another folder"
    else:
        reason = getattr(error, "strerror", None) or str(error)
    return PergradError("FILE_UNWRITABLE", f'Cannot write "{path}": {reason}.')


def _is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def write_json(path: str, value: Mapping[str, Any]) -> None:
    """Raises PergradError FILE_UNWRITABLE."""
    with written(path) as aside, open(aside, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def digest(path: str) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
