#!/usr/bin/env bash
# Opacus and BackPACK take every convolution's padding for zeros: with padding_mode "reflect", "replicate" or "circular"
# the per-sample gradients of its weight are wrong, without a word.
#
# Versions: torch 2.15.0, opacus 1.6.0, backpack-for-pytorch 1.7.1, numpy 2.2.6, Python 3.11 or later.
# Expected by most: a layer that Opacus' ModuleValidator accepts, or that BackPACK extends, gets the gradient of what the
# layer computes; an option that a hook does not know is refused.
# Seen: torch pads such a convolution's input itself before it convolves, but hooks see the input from before the padding
# and pad it with zeros. In both libraries the weight's per-sample gradients are off by a third and more of their largest
# number, for Conv1d and Conv2d alike; with padding_mode "zeros" they are right to the last digits. The bias is right, and
# so is Opacus with force_functorch=True. ModuleValidator finds nothing to complain of. Opacus' clipped sum and noise, and
# BackPACK's second moments and Gauss-Newton diagonals, rest on the same hooks.
# Why it matters: circular padding is usual for panoramas, climate grids and periodic physics, reflection for image
# generators. Shapes fit and training runs, so that nothing shows it; and the two libraries agree with each other, so that
# one is no oracle for the other.
# Source: measured here against a loop over samples with torch's own autograd in float64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 opacus==1.6.0 backpack-for-pytorch==1.7.1 numpy==2.2.6
cat >"$folder/padded.py" <<'PYTHON'
import copy
import warnings

import torch
from backpack import backpack, extend
from backpack.extensions import BatchGrad
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
images = torch.randn(4, 2, 6, 6, dtype=torch.float64)
labels = torch.tensor([0, 1, 2, 1])


def model(mode):
    convolution = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)
    return nn.Sequential(convolution, nn.Flatten(), nn.Linear(108, 3)).double()


def looped(net):
    rows = []
    for image, label in zip(images, labels):
        loss = nn.functional.cross_entropy(net(image[None]), label[None])
        rows.append(torch.autograd.grad(loss, net[0].weight)[0])
    return torch.stack(rows)


def by_opacus(net, **options):
    hooked = GradSampleModule(copy.deepcopy(net), loss_reduction="sum", **options)
    nn.functional.cross_entropy(hooked(images), labels, reduction="sum").backward()
    return next(hooked.parameters()).grad_sample


def by_backpack(net):
    extended = extend(copy.deepcopy(net))
    loss = extend(nn.CrossEntropyLoss(reduction="sum"))
    with backpack(BatchGrad()):
        loss(extended(images), labels).backward()
    return extended[0].weight.grad_batch


def error(found, exact):
    return ((found - exact).abs().max() / exact.abs().max()).item()


for mode in ["zeros", "reflect", "replicate", "circular"]:
    net = model(mode)
    assert ModuleValidator.validate(net, strict=True) == [], "the validator accepts the model"
    exact = looped(net)
    errors = {
        "opacus": error(by_opacus(net), exact),
        "opacus with functorch": error(by_opacus(net, force_functorch=True), exact),
        "backpack": error(by_backpack(net), exact),
    }
    print(mode, {name: f"{value:.1e}" for name, value in errors.items()})
    assert errors["opacus with functorch"] < 1e-10
    for name in ["opacus", "backpack"]:
        assert errors[name] < 1e-10 if mode == "zeros" else errors[name] > 0.1, f"{name} with {mode}"
PYTHON
"$folder/venv/bin/python" "$folder/padded.py"
