#!/usr/bin/env bash
# curvlinops' KFAC takes a weighted loss for an unweighted one, and soft labels for as many labels as there are classes.
#
# Versions: torch 2.15.0, curvlinops-for-pytorch 3.0.1, numpy 2.2.6, Python 3.11 or later.
# Expected by most: KFACLinearOperator takes the loss as a module, so it uses that module's options or refuses them, as it
# refuses BCEWithLogitsLoss with labels other than 0 and 1. For one sample and one linear layer without a bias, KFAC of
# type 2 is the Gauss-Newton matrix itself.
# Seen: it is, for plain cross entropy, also with label smoothing. With CrossEntropyLoss(weight=...) and
# BCEWithLogitsLoss(pos_weight=...) it stays the matrix of the loss without weights, and no word is said; labels that are
# probabilities make it as many times too large as there are classes (3 here). EKFACLinearOperator does the same.
# GGNLinearOperator of the same arguments is right in each case, and so is the loss.
# Why it matters: class weights are how people train on unbalanced data. A damping tuned for a well-scaled matrix, a Laplace
# approximation or influence functions then rest on another loss than the one that was trained.
# Source: measured here against the Gauss-Newton matrix by torch's own autograd in float64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 curvlinops-for-pytorch==3.0.1 numpy==2.2.6
cat >"$folder/weighted.py" <<'PYTHON'
import warnings

import torch
from curvlinops import EKFACLinearOperator, GGNLinearOperator, KFACLinearOperator
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
sample = torch.randn(1, 4, dtype=torch.float64)
net = nn.Sequential(nn.Linear(4, 3, bias=False)).double()
weights = torch.tensor([1.0, 2.0, 0.3], dtype=torch.float64)


def gauss_newton(loss, target):
    logits = net(sample).detach()
    hessian = torch.autograd.functional.hessian(lambda z: loss(z, target), logits).reshape(3, 3)
    return torch.kron(hessian, sample.T @ sample)


def error(operator, exact):
    dense = operator @ torch.eye(12, dtype=torch.float64)
    return ((dense - exact).abs().max() / exact.abs().max()).item()


hard, binary = torch.tensor([1]), torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
soft = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64)
cases = {
    "plain": (nn.CrossEntropyLoss(reduction="sum"), hard, True),
    "label smoothing": (nn.CrossEntropyLoss(reduction="sum", label_smoothing=0.2), hard, True),
    "class weights": (nn.CrossEntropyLoss(reduction="sum", weight=weights), hard, False),
    "binary": (nn.BCEWithLogitsLoss(reduction="sum"), binary, True),
    "pos_weight": (nn.BCEWithLogitsLoss(reduction="sum", pos_weight=weights), binary, False),
    "soft labels": (nn.CrossEntropyLoss(), soft, False),
}
for name, (loss, target, right) in cases.items():
    arguments = (net, loss, list(net.parameters()), [(sample, target)])
    exact = gauss_newton(loss, target)
    errors = {
        "GGN": error(GGNLinearOperator(*arguments), exact),
        "KFAC": error(KFACLinearOperator(*arguments, fisher_type="type-2"), exact),
        "EKFAC": error(EKFACLinearOperator(*arguments, fisher_type="type-2"), exact),
    }
    print(name, {key: f"{value:.1e}" for key, value in errors.items()})
    assert errors["GGN"] < 1e-10
    for key in ["KFAC", "EKFAC"]:
        assert errors[key] < 1e-10 if right else errors[key] > 0.1, f"{key} of {name}"
PYTHON
"$folder/venv/bin/python" "$folder/weighted.py"
