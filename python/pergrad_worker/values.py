"""Opens programs together with the files that hold values for their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetensors.numpy import load_file

from .errors import PergradError
from .execution import CPU
from .given import Given
from .program import Program, open_program
from .session import Optimization


@dataclass(frozen=True)
class Opened:
    """A loaded program, with what it is fed beside its data."""

    program: Program
    given: Given


def open_with(
    path: str,
    files: Sequence[str],
    *,
    scalars: Mapping[str, float] | None = None,
    optimization: Optimization = "extended",
    execution: Sequence[str] = CPU,
) -> Opened:
    """Opens a program, and reads values for its inputs from safetensors files. Raises what `open_program` and `Program.given` raise."""
    program = open_program(path, optimization=optimization, execution=execution)
    inputs: dict[str, Any] = {}
    for file in files:
        inputs |= load_values(file)
    return Opened(program, program.given(scalars=scalars, inputs=inputs))


def load_values(path: str) -> dict[str, Any]:
    """The tensors of a safetensors file. Raises PergradError FILE_UNREADABLE."""
    try:
        return load_file(path)
    except Exception as error:
        raise PergradError("FILE_UNREADABLE", f'"{path}" is no readable safetensors file: {error}.') from error
