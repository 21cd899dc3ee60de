"""A program's per-sample results as a column of a Spark data frame: on_spark.py PROGRAM.onnx DATA_FOLDER OUT.

`mapInArrow` hands over record batches, not row groups: each batch is computed as it comes. The frame needs a column for
each input of the program (numbers, or flat lists of numbers) and, here, `id`; the result has `id` and the norms. To add up
sums too, give one more row for each partition: `Joined.sums` has them in float64.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache

import pyarrow as pa
from pyspark.sql import SparkSession

from pergrad_worker import Program, open_program
from pergrad_worker.data import column

RESULT = "norms/total"


@cache
def opened(path: str) -> Program:
    """Once for each Python process of an executor."""
    return open_program(path)


def norms(path: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    program = opened(path)
    for batch in batches:
        data = {each.name: column(each, batch.column(each.name)) for each in program.form.inputs}
        found = program.compute(data).finish()[RESULT]
        yield pa.RecordBatch.from_arrays([batch.column("id"), pa.array(found)], names=["id", "norm"])


def main(path: str, data: str, out: str) -> None:
    spark = SparkSession.builder.getOrCreate()
    # The file must be on every executor: on a shared disk, or by spark.sparkContext.addFile.
    frame = spark.read.parquet(data)
    kind = frame.schema["id"].dataType.simpleString()
    frame.mapInArrow(lambda batches: norms(path, batches), f"id {kind}, norm float").write.parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
