"""Runs programs saved by pergrad on Parquet data, one row group at a time, under any engine.

A task of the engine calls `run_part`, or `compute_part` for a program that it has opened already. The engine's driver calls
`parts` and `missing` before, and `join_sums` after. `open_program` opens a program that takes arrays.
"""

from .errors import NotFinite, PergradError
from .form import Form
from .join import join_sums
from .joining import Joined
from .plan import Part, missing, parts, require_parts
from .program import Batch, Program, open_program
from .run import PartResult, compute_part, run_part

__all__ = [
    "Batch",
    "Form",
    "Joined",
    "NotFinite",
    "Part",
    "PartResult",
    "PergradError",
    "Program",
    "compute_part",
    "join_sums",
    "missing",
    "open_program",
    "parts",
    "require_parts",
    "run_part",
]
