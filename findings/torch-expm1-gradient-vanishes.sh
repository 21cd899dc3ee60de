#!/usr/bin/env bash
# PyTorch's gradient of expm1 (e^x - 1) is wrong where e^x is small: 0.04 % off at -10, and exactly 0 from -17 on in float32.
#
# Versions: torch 2.15.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: the derivative of expm1 is e^x. Who writes expm1 instead of exp(x) - 1 does so to keep digits, and the
# derivative of the plain exp(x) - 1 is e^x to the last digit.
# Seen: backward computes the result plus 1, which has lost them: the gradient is a multiple of 6e-8, and 0 where the result
# rounds to -1; in float64 it is 0 from -37 on. The gradients of exp(x) - 1, elu, celu and selu are right there.
# Why it matters: the "more accurate" function makes gradients less accurate, and kills those of saturated units (an Elu by
# hand, where(x > 0, x, expm1(x))). A float64 reference that uses it has errors of 1e-4 at -30.
# Source: derivatives.yaml of PyTorch, expm1: grad * (result + 1); measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy==2.2.6
cat >"$folder/slopes.py" <<'PYTHON'
import torch


def slope(function, at, dtype):
    x = torch.tensor(at, dtype=dtype, requires_grad=True)
    function(x).backward()
    return x.grad.item()


def off(function, at, dtype):
    exact = torch.exp(torch.tensor(at, dtype=torch.float64)).item()
    return abs(slope(function, at, dtype) / exact - 1)


def plain(x):
    return torch.exp(x) - 1


for dtype, at, last in ((torch.float32, -10.0, -17.5), (torch.float64, -30.0, -37.5)):
    print(f"{dtype}: at {at} expm1 is off by {off(torch.expm1, at, dtype):.1e}, exp(x) - 1 by {off(plain, at, dtype):.1e};")
    print(f"  at {last} the gradient of expm1 is {slope(torch.expm1, last, dtype)}, of exp(x) - 1 {slope(plain, last, dtype):.2e}")
    assert off(torch.expm1, at, dtype) > 1e-4, "expm1 has become accurate"
    assert slope(torch.expm1, last, dtype) == 0, "the gradient of expm1 no longer vanishes"
    for right in (plain, torch.nn.functional.elu):
        assert off(right, at, dtype) < 1e-5 and off(right, last, dtype) < 1e-5, "the others have changed"
PYTHON
"$folder/venv/bin/python" "$folder/slopes.py"
