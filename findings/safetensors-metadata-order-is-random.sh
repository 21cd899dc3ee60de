#!/usr/bin/env bash
# safetensors writes metadata of several keys in a random order: the same call gives files of different bytes.
#
# Versions: safetensors 0.7.0 and 0.8.0 (Python), numpy 2.4.6, Python 3.11 or later.
# Expected by most: tensors are sorted before they are written, so the same tensors and the same metadata give the same file.
# Seen: ten saves of one tensor with eight metadata keys, in one process, give ten different byte strings or nearly so; with
# one key, or without metadata, all are equal. The order of the dictionary that was given does not matter.
# Why it matters: digests of files are what caches, manifests, downloads and tests compare; a run that is repeated to prove
# that nothing has changed looks changed. One key with JSON in it makes files reproducible.
# Source: found while comparing repeated runs, and measured here; the writer keeps metadata in a hash map with random seeds.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/safetensors_metadata_order_is_random.py" <<'PYTHON'
import hashlib

import numpy as np
import safetensors
from safetensors.numpy import save

tensors = {"w": np.arange(4, dtype=np.float32)}


def files(keys):
    metadata = {f"key{k}": str(k) for k in range(keys)} or None
    return len({hashlib.sha256(save(tensors, metadata=metadata)).hexdigest() for _ in range(10)})


found = {keys: files(keys) for keys in (0, 1, 8)}
print(f"safetensors {safetensors.__version__}: different files in ten saves, by keys: {found}")
assert found[0] == found[1] == 1
assert found[8] > 1, "metadata is written in one order now"
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.7.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/safetensors_metadata_order_is_random.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" "$folder/safetensors_metadata_order_is_random.py"
