#!/usr/bin/env bash
# pyarrow's fixed-shape tensors overlook a null within a tensor: it becomes whatever number lies in the buffer, and no count shows it.
#
# Versions: pyarrow 26.0.1, numpy 2.4.6, Python 3.11 or later.
# Expected by most: `null_count` of 0 means that nothing is missing, and `to_numpy_ndarray`, which refuses an array with a missing
# tensor and names the option that takes it, refuses a missing element too.
# Seen: for [[1, 2], [3, null], [5, 6]] as tensors of two elements null_count is 0, also after a round through Parquet, and
# to_numpy_ndarray gives a number in place of the null (what the buffer held). A whole tensor that is missing is refused. Plain
# lists of the same elements refuse to become numpy without a copy. Only the flattened storage counts the null.
# Why it matters: a table of features with one missing value trains and is measured as if that value were real; the usual check
# before (`column.null_count`) passes.
# Source: found while reading columns of samples, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/nulls.py" <<'PYTHON'
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TENSOR = pa.fixed_shape_tensor(pa.float32(), [2])


def tensors(rows):
    return pa.ExtensionArray.from_storage(TENSOR, pa.array(rows, pa.list_(pa.float32(), 2)))


def refused(convert):
    try:
        convert()
    except (pa.ArrowInvalid, ValueError):
        return True
    return False


# The fourth element, 7 in the buffer, is marked as missing: what a masked array gives.
values = pa.array(np.array([1, 2, 3, 7, 5, 6], np.float32), mask=np.array([False, False, False, True, False, False]))
within = pa.ExtensionArray.from_storage(TENSOR, pa.FixedSizeListArray.from_arrays(values, 2))
buffer = io.BytesIO()
pq.write_table(pa.table({"x": within}), buffer)
read = pq.read_table(buffer)["x"].chunk(0)

print(f"pyarrow {pa.__version__}, numpy {np.__version__}: {within.to_pylist()}")
for name, each in (("made", within), ("read from Parquet", read)):
    array = each.to_numpy_ndarray()
    print(f"{name}: null_count {each.null_count}, flattened {each.storage.flatten().null_count}, array {array.tolist()}")
    assert each.null_count == 0 and each.storage.null_count == 0
    assert each.storage.flatten().null_count == 1
    assert np.isfinite(array).all(), "a number stands where nothing is"
assert within.to_pylist()[1] == [3.0, None]
assert refused(tensors([[1, 2], None, [5, 6]]).to_numpy_ndarray), "a missing tensor is refused"
assert refused(lambda: values.to_numpy()), "so are missing elements of a plain array"
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.4.6
"$folder/venv/bin/python" "$folder/nulls.py"
