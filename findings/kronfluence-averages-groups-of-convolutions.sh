#!/usr/bin/env bash
# kronfluence averages the channels over the groups of a convolution, in per-sample gradients too: scores of grouped and depthwise
# convolutions are those of another layer, also where nothing is to be approximated.
#
# Versions: torch 2.15.0, kronfluence 1.0.1, numpy 2.2.6, Python 3.11 or later.
# Expected by most: nn.Conv2d is one of the two supported layers, and the strategy "identity" needs no factors, so that a pairwise
# score is the inner product of two gradients. KFAC approximates curvature; the gradients that it multiplies are exact.
# Seen: with groups=1 scores and self-influence agree with autograd to rounding. With groups=2 or depthwise, the layer's scores are
# off by two thirds of the largest and self-influence is 0.3 to 0.7 of what it is: each group's gradient is taken with the mean of all
# groups' inputs in place of its own. Shapes fit, since every group has equally many channels, and no word is said.
# Why it matters: depthwise convolutions are in every block of MobileNet, EfficientNet and ConvNeXt. The method that averages
# is published for Kronecker factors, where it only changes the approximation; here it changes what is attributed.
# Source: measured here against torch's own autograd; kronfluence/module/conv2d.py, extract_patches ("averaged over channel groups").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 kronfluence==1.0.1 numpy==2.2.6
cat >"$folder/groups.py" <<'PYTHON'
import tempfile
import warnings

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from torch import nn
from torch.utils.data import TensorDataset

warnings.filterwarnings("ignore")
torch.manual_seed(0)
samples, labels = torch.randn(10, 4, 6, 6), torch.randint(0, 3, (10,))
data = TensorDataset(samples, labels)


class Losses(Task):
    def compute_train_loss(self, batch, model, sample=False):
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)


def gradients(net):
    flat = []
    for row, label in zip(samples, labels):
        loss = nn.functional.cross_entropy(net(row[None]), label[None])
        flat.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(net[0].parameters()))]))
    return torch.stack(flat)


def error(found, exact):
    return ((found - exact).abs().max() / exact.abs().max()).item()


for groups in [1, 2, 4]:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=groups), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3)).eval()
    exact = gradients(net)
    model = prepare_model(net, Losses())
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer("groups", model, Losses(), cpu=True, output_dir=folder, disable_model_save=True, disable_tqdm=True)
        analyzer.fit_all_factors("none", data, per_device_batch_size=5, factor_args=FactorArguments(strategy="identity"))
        modules = ScoreArguments(compute_per_module_scores=True)
        analyzer.compute_pairwise_scores("pairs", "none", data, data, 5, per_device_train_batch_size=5, score_args=modules)
        analyzer.compute_self_scores("own", "none", data, per_device_train_batch_size=5, score_args=modules)
        pairs = analyzer.load_pairwise_scores("pairs")["0"]
        own = analyzer.load_self_scores("own")["0"] / exact.square().sum(1)
    print(f"{groups} groups: pairwise scores off by {error(pairs, exact @ exact.T):.1e}, "
          f"self-influence {own.min():.2f} to {own.max():.2f} times the squared norm")
    if groups == 1:
        assert error(pairs, exact @ exact.T) < 1e-5 and (own - 1).abs().max() < 1e-5
    else:
        assert error(pairs, exact @ exact.T) > 0.2 and own.max() < 0.9
PYTHON
"$folder/venv/bin/python" "$folder/groups.py"
