#!/usr/bin/env bash
# laplace-torch's empirical Fisher of a regression is twice too large, which halves posterior variances where the prior is weak.
#
# Versions: torch 2.15.0, laplace-torch 0.3, backpack-for-pytorch 1.7.1, curvlinops-for-pytorch 3.0.1, numpy 2.2.6, Python 3.11 or later.
# Expected by most: EF backends differ from GGN backends by noise where the model is right: in a linear regression with noise
# of variance 1, the sum of outer products of gradients of the log likelihood has X'X as its expectation, as the GGN has.
# Seen: BackPackGGN (diag, full) gives X'X exactly. BackPackEF (diag, full) and CurvlinopsEF (kron, the bias's block) give twice
# the sum over samples of squared gradients of -log N(y | f, 1). They take gradients of the squared error, which are twice those
# of the log likelihood, and scale their products by the one half that belongs to the loss; a product needs a quarter. The loss
# is scaled rightly, and in classification, where the factor is 1, nothing is wrong.
# Why it matters: error bars are too small by a factor of up to 1.41, and the marginal likelihood, by which the prior's precision
# is chosen, is off as well; a comparison of EF with GGN by these backends shows a difference that is not there.
# Source: measured here; the factor is that of CurvatureInterface ("conversion factor between torch losses and base likelihoods").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 laplace-torch==0.3 backpack-for-pytorch==1.7.1 curvlinops-for-pytorch==3.0.1 numpy==2.2.6
cat >"$folder/fisher.py" <<'PYTHON'
import warnings

import torch
from laplace import Laplace
from laplace.curvature import BackPackEF, BackPackGGN, CurvlinopsEF
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
torch.manual_seed(0)
count = 2000
inputs = torch.randn(count, 3)
targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5]]) + torch.randn(count, 1)
design = torch.cat([inputs, torch.ones(count, 1)], 1)
solution = torch.linalg.lstsq(design, targets).solution[:, 0]
net = nn.Linear(3, 1)
with torch.no_grad():
    net.weight.copy_(solution[None, :3])
    net.bias.copy_(solution[3:])


def likelihood(parameters, row, target):
    return -torch.distributions.Normal(row @ parameters, 1.0).log_prob(target[0])


gradients = torch.stack(
    [torch.func.grad(likelihood)(solution, row, target) for row, target in zip(design, targets)]
)
fisher = gradients.square().sum(0)
newton = design.square().sum(0)
print("X'X:", newton.tolist())
print("sum of squared gradients of -log N(y | f, 1):", fisher.tolist())


def diagonal(backend, structure):
    laplace = Laplace(net, "regression", subset_of_weights="all", hessian_structure=structure, backend=backend)
    laplace.fit(DataLoader(TensorDataset(inputs, targets), batch_size=100))
    found = laplace.H.to_matrix() if structure == "kron" else laplace.H
    found = found if found.ndim == 1 else found.diagonal()
    print(backend.__name__, structure, found.tolist())
    return found


assert (newton / fisher - 1).abs().max() < 0.2, "the two agree up to noise"
for structure in ["diag", "full"]:
    assert torch.allclose(diagonal(BackPackGGN, structure), newton, rtol=1e-3)
    assert torch.allclose(diagonal(BackPackEF, structure), 2 * fisher, rtol=1e-3)
assert torch.allclose(diagonal(CurvlinopsEF, "kron")[3], 2 * fisher[3], rtol=1e-3)
PYTHON
"$folder/venv/bin/python" "$folder/fisher.py"
