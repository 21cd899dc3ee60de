#!/usr/bin/env bash
# PyTorch's fused weight normalisation gives a wrong second derivative, without a word.
#
# Versions: torch 2.15.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: autograd differentiates torch.nn.utils.parametrizations.weight_norm (and torch._weight_norm below it)
# twice as it does any module; an operator that cannot be says so.
# Seen: first derivatives are right, but the Hessian in the direction v ("original1") is not that of g * v / |v|:
# torch.autograd.gradgradcheck fails for the fused operator and passes for the same formula written out. Hessian-vector
# products of a weight-normalised layer are off by as much as they are large.
# Why it matters: it is silent, so that an oracle made of torch.autograd.grad twice, a Hessian-vector product, a gradient
# penalty or MAML through weight-normalised layers is wrong.
# Source: measured here against central differences of torch's own gradients in float64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy==2.2.6
cat >"$folder/twice.py" <<'PYTHON'
import torch

torch.manual_seed(0)
v = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
g = torch.rand(3, 1, dtype=torch.float64, requires_grad=True)
along = torch.randn(3, 4, dtype=torch.float64)


def fused(v, g):
    return torch._weight_norm(v, g, 0)


def written_out(v, g):
    return v * (g / v.norm(dim=1, keepdim=True))


def slope(weight, v, graph=False):
    loss = weight(v, g).pow(3).sum()
    return torch.autograd.grad(loss, v, create_graph=graph)[0]


def product(weight):
    return torch.autograd.grad((slope(weight, v, graph=True) * along).sum(), v)[0]


def difference(weight, step=1e-5):
    up, down = ((v + side * step * along).detach().requires_grad_() for side in (1, -1))
    return (slope(weight, up) - slope(weight, down)) / (2 * step)


assert torch.allclose(slope(fused, v), slope(written_out, v), rtol=1e-12), "first derivatives agree"
errors = {
    weight.__name__: ((product(weight) - difference(weight)).abs().max() / difference(weight).abs().max()).item()
    for weight in (fused, written_out)
}
print("Hessian-vector products beside differences of gradients:", errors)
assert errors["written_out"] < 1e-7, "the formula written out is right"
assert errors["fused"] > 1e-2, "the fused operator is wrong"
PYTHON
"$folder/venv/bin/python" "$folder/twice.py"
