#!/usr/bin/env bash
# kronfluence with has_shared_parameters=True scores training samples by the last call of a shared layer alone, though its
# self-influence scores of the same model count every call.
#
# Versions: torch 2.15.0, kronfluence 1.0.1, numpy 2.2.6, Python 3.11 or later.
# Expected by most: the option "Indicates whether shared parameters are present in the model's forward pass" is what a layer that
# is called twice needs; with the strategy "identity" a pairwise score is then the inner product of two whole gradients.
# Seen: compute_self_scores gives the whole gradient's squared norm, to rounding. compute_pairwise_scores gives the inner product
# of the query's whole gradient with that part of the training sample's which belongs to the layer's last call; the score of a
# sample with itself is another number in the two. The first backward hook stores its score and removes the hooks of the other
# calls. Nothing is said. Without the option, whose absence is accepted too, both kinds of score are wrong.
# Why it matters: layers called more than once are how ALBERT, Siamese and looped transformers and unrolled networks are made.
# Scores are off by a fifth of the largest here, and ranks change, where the option that promises to handle it is set.
# Source: measured here against torch's own autograd; kronfluence/module/tracker/pairwise_score.py, backward_hook.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 kronfluence==1.0.1 numpy==2.2.6
cat >"$folder/shared.py" <<'PYTHON'
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
samples, labels = torch.randn(10, 4), torch.randint(0, 3, (10,))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, rows):
        return self.head(torch.tanh(self.shared(torch.tanh(self.shared(rows)))))


class Losses(Task):
    def compute_train_loss(self, batch, model, sample=False):
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

    def compute_measurement(self, batch, model):
        return self.compute_train_loss(batch, model)


def gradients(net):
    """The gradient of each sample's loss by the shared parameters [10, 20], from the first call and from the last."""
    parts = []
    for row, label in zip(samples, labels):
        first, last = [[part.detach().clone().requires_grad_() for part in net.shared.parameters()] for _ in range(2)]
        hidden = torch.tanh(nn.functional.linear(row, *first))
        logits = net.head(torch.tanh(nn.functional.linear(hidden, *last)))
        found = torch.autograd.grad(nn.functional.cross_entropy(logits, label), first + last)
        parts.append(torch.cat([part.flatten() for part in found]))
    return torch.stack(parts).chunk(2, dim=1)


def error(found, exact):
    return ((found - exact).abs().max() / exact.abs().max()).item()


net = Twice().eval()
first, last = gradients(net)
whole = first + last
model = prepare_model(net, Losses())
data = TensorDataset(samples, labels)
with tempfile.TemporaryDirectory() as folder:
    analyzer = Analyzer("shared", model, Losses(), cpu=True, output_dir=folder, disable_model_save=True, disable_tqdm=True)
    options = FactorArguments(strategy="identity", has_shared_parameters=True)
    analyzer.fit_all_factors("factors", data, per_device_batch_size=5, factor_args=options)
    modules = ScoreArguments(compute_per_module_scores=True)
    analyzer.compute_pairwise_scores("pairs", "factors", data, data, 5, per_device_train_batch_size=5, score_args=modules)
    analyzer.compute_self_scores("own", "factors", data, per_device_train_batch_size=5, score_args=modules)
    pairs = analyzer.load_pairwise_scores("pairs")["shared"]
    own = analyzer.load_self_scores("own")["shared"]
print(f"self-influence off by {error(own, whole.square().sum(1)):.0e}, pairs by {error(pairs, whole @ whole.T):.0e}, "
      f"and by {error(pairs, whole @ last.T):.0e} from those with the last call")
print("a sample with itself:", pairs.diagonal()[:4].tolist(), "among pairs,", own[:4].tolist(), "alone")
same = bool((pairs.argsort(1) == (whole @ whole.T).argsort(1)).all())
print("ranks of the training samples are the same:", same)
assert not same and error(own, whole.square().sum(1)) < 1e-5
assert error(pairs, whole @ last.T) < 1e-5 and error(pairs, whole @ whole.T) > 0.1
PYTHON
"$folder/venv/bin/python" "$folder/shared.py"
