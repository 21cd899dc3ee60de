#!/usr/bin/env bash
# Opacus has gradients for the padding row of nn.Embedding: padding_idx, which torch keeps fixed, trains, and counts in norms.
#
# Versions: torch 2.15.0, opacus 1.6.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: with padding_idx "the embedding vector at padding_idx is not updated during training", as nn.Embedding's
# documentation says; a wrapper that accepts the layer keeps that.
# Seen: the row's per-sample gradients are those of any word, as if padding_idx were absent, though the gradient of the batch
# (.grad) is zero there, and force_functorch=True has zeros too. Ghost clipping counts the row in its norms: samples of nothing
# but padding and one word have twice their norm and more. One step of private SGD without noise moves the row, which was zero.
# Why it matters: short texts, which have the most padding, are clipped the most, and the padding vector, which code relies on
# to be zero (sums and means over positions, convolutions over text), drifts with every step, and by noise as well.
# Source: measured here against a loop over samples with torch's own autograd in float64; the sentence quoted is torch.nn.Embedding's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 opacus==1.6.0 numpy==2.2.6
cat >"$folder/padding.py" <<'PYTHON'
import copy
import warnings

import torch
from opacus import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer
from opacus.validators import ModuleValidator
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
words = torch.tensor([[1, 2, 0, 0], [4, 0, 0, 0], [1, 2, 3, 4]])
labels = torch.tensor([0, 1, 1])


class Texts(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 3, padding_idx=0)
        self.head = nn.Linear(3, 2)

    def forward(self, words):
        return self.head(torch.tanh(self.words(words)).mean(1))


def hooked(wrap, **options):
    wrapped = wrap(copy.deepcopy(net), loss_reduction="sum", **options)
    nn.functional.cross_entropy(wrapped(words), labels, reduction="sum").backward()
    return wrapped


net = Texts().double()
assert ModuleValidator.validate(net, strict=True) == [], "the validator accepts the model"
exact = torch.stack(
    [
        torch.autograd.grad(nn.functional.cross_entropy(net(text[None]), label[None]), net.words.weight)[0]
        for text, label in zip(words, labels)
    ]
)
assert exact[:, 0].abs().max() == 0, "torch keeps the row fixed"

found = hooked(GradSampleModule)
weight = found._module.words.weight
functorch = hooked(GradSampleModule, force_functorch=True)._module.words.weight.grad_sample
ghost = hooked(GradSampleModuleFastGradientClipping, max_grad_norm=1.0, use_ghost_clipping=True)._module.words.weight._norm_sample
norms = exact.flatten(1).norm(dim=1)
print("norms of the padding row's gradients:", weight.grad_sample[:, 0].norm(dim=1).tolist(), "true: 0")
print("norms of all words' by ghost clipping:", ghost.tolist(), "true:", norms.tolist())
assert weight.grad[0].abs().max() == 0, "the gradient of the batch leaves the row alone"
assert (functorch - exact).abs().max() < 1e-12
assert (weight.grad_sample[:, 1:] - exact[:, 1:]).abs().max() < 1e-12, "the other rows are right"
assert weight.grad_sample[:2, 0].norm(dim=1).min() > 0.05
assert ghost[1] > 2 * norms[1] and abs(ghost[2] - norms[2]) < 1e-12

optimizer = DPOptimizer(
    torch.optim.SGD(found.parameters(), lr=1.0), noise_multiplier=0.0, max_grad_norm=100.0, expected_batch_size=3
)
assert weight[0].abs().max() == 0
optimizer.step()
print("the padding row after one step of private SGD without noise:", weight[0].tolist())
assert weight[0].abs().max() > 0.01, "the row was moved"
PYTHON
"$folder/venv/bin/python" "$folder/padding.py"
