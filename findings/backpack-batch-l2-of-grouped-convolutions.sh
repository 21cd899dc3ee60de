#!/usr/bin/env bash
# BackPACK's squared per-sample norms (BatchL2Grad) are wrong for convolutions with groups, though its per-sample gradients
# (BatchGrad) of the same call are right.
#
# Versions: torch 2.15.0, backpack-for-pytorch 1.7.1, numpy 2.2.6, Python 3.11 or later.
# Expected by most: batch_l2 is the square of the norm of grad_batch. Both come from one backward pass.
# Seen: with groups=1 they agree to the last digits. With g groups, batch_l2 of the weight is about g times too large (1.8 to
# 2.2 times with two groups, 4.1 to 4.3 with four), another factor for each sample, and nothing is said. The bias is right.
# Why it matters: gradient noise scales, importance sampling and clipping take the norms, since they are the cheap ones;
# depthwise convolutions are in every mobile network.
# Source: measured here; both quantities are defined at https://docs.backpack.pt (first-order extensions).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 backpack-for-pytorch==1.7.1 numpy==2.2.6
cat >"$folder/grouped.py" <<'PYTHON'
import warnings

import torch
from backpack import backpack, extend
from backpack.extensions import BatchGrad, BatchL2Grad
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
images = torch.randn(4, 4, 6, 6, dtype=torch.float64)
labels = torch.tensor([0, 1, 2, 1])

for groups in [1, 2, 4]:
    net = extend(nn.Sequential(nn.Conv2d(4, 4, 3, groups=groups), nn.Flatten(), nn.Linear(64, 3)).double())
    loss = extend(nn.CrossEntropyLoss(reduction="sum"))
    with backpack(BatchGrad(), BatchL2Grad()):
        loss(net(images), labels).backward()
    weight, bias = net[0].weight, net[0].bias
    rows = []
    for image, label in zip(images, labels):
        one = nn.functional.cross_entropy(net(image[None]), label[None])
        rows.append(torch.autograd.grad(one, weight)[0])
    exact = torch.stack(rows)
    squares = exact.flatten(1).square().sum(1)
    assert torch.allclose(weight.grad_batch, exact, rtol=1e-9, atol=1e-12), "per-sample gradients are right"
    assert torch.allclose(bias.batch_l2, bias.grad_batch.square().sum(1), rtol=1e-9)
    ratios = weight.batch_l2 / squares
    print("groups", groups, "batch_l2 over the square of the norm:", [round(ratio, 3) for ratio in ratios.tolist()])
    wrong = (ratios - 1).abs().max().item()
    assert wrong < 1e-9 if groups == 1 else wrong > 0.05
PYTHON
"$folder/venv/bin/python" "$folder/grouped.py"
