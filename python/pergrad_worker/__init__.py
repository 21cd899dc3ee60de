"""Runs programs saved by pergrad on Parquet data, one row group at a time, under any engine.

`run_part` is one task of any engine (`compute_part` that of a program that is open already); `parts`, `missing` and `join_sums` are what the engine's driver does around it.
`open_program` opens a program on arrays.
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
