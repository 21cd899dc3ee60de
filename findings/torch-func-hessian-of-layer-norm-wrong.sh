#!/usr/bin/env bash
# torch.func.hessian is wrong for a layer normalisation with a gain, without a word.
#
# Versions: torch 2.15.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: torch.func.hessian gives what torch.autograd.functional.hessian gives, or says that it cannot.
# Seen: where gain, bias and input of torch.nn.functional.layer_norm are all differentiated, as in any network whose layer
# normalisation is not its first layer, jacfwd(jacrev(f)), which is torch.func.hessian, and jacrev(jacrev(f)) are off by a
# fifth of the largest element. The same normalisation written out is right in all of them, and the fused one is right in
# torch.autograd.functional.hessian, which goes row by row, without vmap.
# Why it matters: exact Hessians of small transformers, and influence functions and Laplace approximations made of them,
# are commonly taken by torch.func as the reference for approximations.
# Source: measured here, in float64, against torch.autograd.functional.hessian and the formula written out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy==2.2.6
cat >"$folder/hessian.py" <<'PYTHON'
import torch
from torch.func import hessian, jacrev

torch.manual_seed(0)
head = torch.randn(2, 4, dtype=torch.float64)
point = torch.randn(20, dtype=torch.float64)


def fused(x, gain, bias):
    return torch.nn.functional.layer_norm(x, (4,), gain, bias)


def written_out(x, gain, bias):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain + bias


def loss(norm):
    return lambda v: torch.tanh(norm(v[8:].view(3, 4), v[:4], v[4:8]) @ head.T).square().sum()


right = torch.autograd.functional.hessian(loss(written_out), point)
found = {
    "torch.func.hessian": hessian(loss(fused))(point),
    "jacrev(jacrev)": jacrev(jacrev(loss(fused)))(point),
    "torch.autograd.functional.hessian": torch.autograd.functional.hessian(loss(fused), point),
    "torch.func.hessian, written out": hessian(loss(written_out))(point),
}
errors = {name: ((each - right).abs().max() / right.abs().max()).item() for name, each in found.items()}
print(errors)
assert errors["torch.func.hessian"] > 1e-2, "torch.func.hessian of the fused operator is wrong"
assert errors["jacrev(jacrev)"] > 1e-2, "and so is reverse mode over reverse mode"
assert errors["torch.autograd.functional.hessian"] < 1e-12, "row by row it is right"
assert errors["torch.func.hessian, written out"] < 1e-12, "and so is the formula written out"
PYTHON
"$folder/venv/bin/python" "$folder/hessian.py"
