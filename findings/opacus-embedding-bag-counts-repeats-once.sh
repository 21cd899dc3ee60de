#!/usr/bin/env bash
# Opacus counts a word that occurs several times in a bag of nn.EmbeddingBag once, and has zeros for mode "max".
#
# Versions: torch 2.15.0, opacus 1.6.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: EmbeddingBag is among the layers that Opacus has a rule for, and ModuleValidator accepts it, so that
# the per-sample gradients add up to the gradient of the batch.
# Seen: they do where the words of each bag differ, in modes "sum" and "mean". Of a word that occurs k times in a bag only one
# occurrence counts, so that its row is k times too small; with mode "max" the whole gradient is zero. Nothing is said. Ghost
# clipping takes its norms from the same rule. With force_functorch=True the layer is refused. The gradient of the batch
# (.grad) is right all the while.
# Why it matters: bags of words and of categories are what the layer is for, and repeated words are the rule there. Samples
# are trained by the presence of a word where the model counts it; in mode "max" private training sees noise alone.
# Source: measured here against a loop over samples with torch's own autograd in float64. The rule adds by `+=` to rows that an
# index tensor names, which numpy and torch define to count an index once (opacus/grad_sample/embedding.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 opacus==1.6.0 numpy==2.2.6
cat >"$folder/bags.py" <<'PYTHON'
import copy
import warnings

import torch
from opacus import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.validators import ModuleValidator
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
labels = torch.tensor([0, 1, 1])
different = [[1, 2, 4], [5, 0], [3, 6, 1]]
repeated = [[1, 2, 2], [5, 0], [3, 3, 3]]


class Bags(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.bag = nn.EmbeddingBag(7, 3, mode=mode)
        self.head = nn.Linear(3, 2)

    def forward(self, words, offsets):
        return self.head(self.bag(words, offsets))


def flat(bags):
    lengths = [0, *(len(bag) for bag in bags[:-1])]
    return torch.tensor(sum(bags, [])), torch.tensor(lengths).cumsum(0)


def looped(net, bags):
    rows = []
    for bag, label in zip(bags, labels):
        loss = nn.functional.cross_entropy(net(*flat([bag])), label[None])
        rows.append(torch.autograd.grad(loss, net.bag.weight)[0])
    return torch.stack(rows)


def hooked(net, bags, wrap, **options):
    wrapped = wrap(copy.deepcopy(net), loss_reduction="sum", **options)
    nn.functional.cross_entropy(wrapped(*flat(bags)), labels, reduction="sum").backward()
    return wrapped._module.bag.weight


def error(found, exact):
    return ((found - exact).abs().max() / exact.abs().max()).item()


for mode in ["sum", "mean", "max"]:
    net = Bags(mode).double()
    assert ModuleValidator.validate(net, strict=True) == [], "the validator accepts the model"
    for kind, bags in {"different": different, "repeated": repeated}.items():
        exact = looped(net, bags)
        weight = hooked(net, bags, GradSampleModule)
        found = weight.grad_sample
        ghost = hooked(net, bags, GradSampleModuleFastGradientClipping, max_grad_norm=1.0, use_ghost_clipping=True)
        lengths = [(value / norm).item() for value, norm in zip(ghost._norm_sample, exact.flatten(1).norm(dim=1))]
        print(f"{mode}, {kind} words: error {error(found, exact):.1e}, ghost norms over true ones", [f"{value:.2f}" for value in lengths])
        assert error(weight.grad, exact.sum(0)) < 1e-10, "the gradient of the batch is right"
        if mode == "max":
            assert found.abs().max() == 0 and max(lengths) == 0
        elif kind == "different":
            assert error(found, exact) < 1e-10 and abs(min(lengths) - 1) < 1e-10
        else:
            ratio = exact[2, 3] / found[2, 3]
            assert torch.allclose(ratio, torch.full_like(ratio, 3)), "a word that occurs three times counts once"
            assert torch.allclose(exact[0, 2] / found[0, 2], torch.full_like(ratio, 2)), "and one that occurs twice"
            assert abs(lengths[2] - 1 / 3) < 1e-10
PYTHON
"$folder/venv/bin/python" "$folder/bags.py"
