#!/usr/bin/env bash
# Opacus counts a weight only where its own layer is called: what the model computes with it elsewhere is dropped from the
# per-sample gradient, without a word, also with functorch and in ghost clipping, which refuses other tied weights.
#
# Versions: torch 2.15.0, opacus 1.6.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: tied weights either work or are refused. Opacus adds up two layers that hold one parameter, and its
# ghost clipping refuses them ("Parameter tying is not supported"); a language model that ties its head by
# h @ embedding.weight.T is the same function and should meet the same fate.
# Seen: the embedding's hook alone fills grad_sample. The head's part is missing, 75 % of the largest number here.
# GradSampleModule, force_functorch=True and GradSampleModuleFastGradientClipping all return such numbers; ModuleValidator
# and the check for tied parameters see nothing. The summed gradient (.grad) is right all the while.
# Why it matters: it is how many language models tie their heads. Norms come out too small, and the head is hardly trained.
# To see it, add up grad_sample and compare with .grad.
# Source: measured here against a loop over samples with torch's own autograd in float64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 opacus==1.6.0 numpy==2.2.6
cat >"$folder/tied.py" <<'PYTHON'
import copy
import warnings

import torch
from opacus import GradSampleModule
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.validators import ModuleValidator
from torch import nn

warnings.filterwarnings("ignore")
torch.manual_seed(0)
tokens = torch.tensor([[0, 1, 1, 2], [2, 2, 0, 3], [1, 0, 4, 0]])


class ByLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        return self.head(self.embedding(tokens))


class ByProduct(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)

    def forward(self, tokens):
        return self.embedding(tokens) @ self.embedding.weight.T


def losses(logits, targets):
    return nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").sum(1)


def looped(net):
    rows = [torch.autograd.grad(losses(net(one[None]), one[None])[0], net.embedding.weight)[0] for one in tokens]
    return torch.stack(rows)


def by_hooks(net, **options):
    hooked = GradSampleModule(copy.deepcopy(net), loss_reduction="sum", **options)
    losses(hooked(tokens), tokens).sum().backward()
    weight = next(hooked.parameters())
    return weight.grad_sample, weight.grad


def ghost_norms(net):
    hooked = GradSampleModuleFastGradientClipping(
        copy.deepcopy(net), loss_reduction="sum", max_grad_norm=1.0, use_ghost_clipping=True
    )
    losses(hooked(tokens), tokens).sum().backward()
    return hooked.get_norm_sample()


def error(found, exact):
    return ((found - exact).abs().max() / exact.abs().max()).item()


def refused(net):
    try:
        ghost_norms(net)
    except NotImplementedError:
        return True
    return False


layers, product = ByLayer().double(), ByProduct().double()
product.embedding.weight.data.copy_(layers.embedding.weight.data)
exact = looped(product)
norms = exact.flatten(1).norm(dim=1)
assert torch.allclose(looped(layers), exact), "both models are one function"
assert error(by_hooks(layers)[0], exact) < 1e-10 and refused(layers), "tied layers are added up, or refused"
assert ModuleValidator.validate(product, strict=True) == []
hooks, summed = by_hooks(product)
errors = {
    "hooks": error(hooks, exact),
    "functorch": error(by_hooks(product, force_functorch=True)[0], exact),
    "ghost norms": error(ghost_norms(product), norms),
}
print({name: f"{value:.2f}" for name, value in errors.items()})
print("norms by Opacus", ghost_norms(product).tolist(), "of the gradients", norms.tolist())
assert error(summed, exact.sum(0)) < 1e-10, ".grad is right"
assert min(errors.values()) > 0.1, "grad_sample and its norms are not"
PYTHON
"$folder/venv/bin/python" "$folder/tied.py"
