#!/usr/bin/env bash
# cloudpickle sends a script's functions by value, but a cached one by its name alone: another process cannot read it.
#
# Versions: cloudpickle 3.1.1 and 3.1.3, Python 3.11 or later.
# Expected by most: what a script (`__main__`) defines travels whole to workers of Ray, Dask or Spark, which all use cloudpickle
# for that; a decorator of the standard library does not change it.
# Seen: a plain function, and one behind functools.wraps, run in another process. Behind functools.cache or lru_cache the bytes
# hold the words "__main__" and the name; loading them elsewhere is an AttributeError.
# So it is for a plain function that only calls a cached one.
# Why it matters: caching a model's session in each worker is the usual way to load it once; the task then fails before its
# first line runs, and only where the function stands in the script itself: moved into a module, the same code works.
# Source: met while writing a runner for Ray, and measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/script.py" <<'PYTHON'
import functools
import subprocess
import sys

import cloudpickle


def plain(x):
    return x + 1


def logged(function):
    @functools.wraps(function)
    def inner(x):
        return function(x)

    return inner


@logged
def wrapped(x):
    return x + 1


@functools.cache
def cached(x):
    return x + 1


@functools.lru_cache(maxsize=4)
def least_recent(x):
    return x + 1


def calls_cached(x):
    return cached(x)


def elsewhere(function):
    """What another process makes of it."""
    load = "import sys, pickle; print(pickle.loads(sys.stdin.buffer.read())(1))"
    told = subprocess.run([sys.executable, "-c", load], input=cloudpickle.dumps(function), capture_output=True)
    return told.stdout.decode().strip() or told.stderr.decode().strip().splitlines()[-1]


found = {f.__name__: elsewhere(f) for f in (plain, wrapped, cached, least_recent, calls_cached)}
print(f"cloudpickle {cloudpickle.__version__}, Python {sys.version.split()[0]}: {found}")
assert found["plain"] == found["wrapped"] == "2"
for name in ("cached", "least_recent", "calls_cached"):
    assert found[name].startswith("AttributeError"), f"{name} travels now"
PYTHON
python3 -m venv "$folder/venv"
for version in 3.1.1 3.1.3; do
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "cloudpickle==$version"
  "$folder/venv/bin/python" "$folder/script.py"
done
