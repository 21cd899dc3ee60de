#!/usr/bin/env bash
# Captum's TracInCPFast leaves the last layer's bias out of the scores, though "there is no loss in accuracy" in its words.
#
# Versions: torch 2.15.0, captum 0.9.0, numpy 2.2.6, Python 3.11 or later.
# Expected by most: TracInCPFast(final_fc_layer=layer) scores as TracInCP(layers=[layer]) does, only faster: "computed influence
# scores are exactly the same as when naive back-propagation is used" (docstring of TracInCPFast).
# Seen: they are the same for nn.Linear(..., bias=False). With a bias, which is nn.Linear's default, TracInCPFast's score is that
# of the weight alone, (x.x')(g.g'), where the whole layer has (x.x' + 1)(g.g'), and nothing is said. Self-influence too. For
# a layer of 6 inputs that are tanh's, scores are off by half of the largest one, and rankings change.
# Why it matters: the two classes are offered as one method at two speeds; whoever checks the fast one on a network with a bias
# gets other ranks of training samples, and the fewer or smaller the features, the more so.
# Source: measured here against a loop over samples with torch's own autograd; the formula is in the class's docstring.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 captum==0.9.0 numpy==2.2.6
cat >"$folder/tracin.py" <<'PYTHON'
import pathlib
import tempfile
import warnings

import torch
from captum.influence import TracInCP, TracInCPFast
from torch import nn
from torch.utils.data import TensorDataset

warnings.filterwarnings("ignore")
torch.manual_seed(0)
samples, labels = torch.randn(10, 5), torch.randint(0, 3, (10,))
queries, answers = torch.randn(4, 5), torch.randint(0, 3, (4,))


def gradients(net, rows, targets, parameters):
    flat = []
    for row, target in zip(rows, targets):
        loss = nn.functional.cross_entropy(net(row[None]), target[None])
        flat.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, parameters)]))
    return torch.stack(flat)


def scores(net, parameters):
    return gradients(net, queries, answers, parameters) @ gradients(net, samples, labels, parameters).T


def error(found, exact):
    return ((found - exact).abs().max() / exact.abs().max()).item()


def load(net, path):
    net.load_state_dict(torch.load(path))
    return 1.0


for bias in [False, True]:
    net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3, bias=bias))
    last = net[2]
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "checkpoint.pt"))
        torch.save(net.state_dict(), path)
        shared = dict(train_dataset=TensorDataset(samples, labels), checkpoints=[path], checkpoints_load_func=load)
        loss = nn.CrossEntropyLoss(reduction="sum")
        fast = TracInCPFast(net, last, loss_fn=loss, batch_size=4, **shared)
        whole = TracInCP(net, layers=["2"], loss_fn=loss, batch_size=4, sample_wise_grads_per_batch=True, **shared)
        quick, slow = fast.influence((queries, answers)), whole.influence((queries, answers))
        own = fast.self_influence()
    exact = scores(net, list(last.parameters()))
    norms = gradients(net, samples, labels, list(last.parameters())).square().sum(1)
    of_weight = scores(net, [last.weight])
    print(f"bias {bias}: TracInCP off by {error(slow, exact):.0e}, TracInCPFast by {error(quick, exact):.0e}, "
          f"its self-influence by {error(own, norms):.0e}, and by {error(quick, of_weight):.0e} from the weight's part")
    assert error(slow, exact) < 1e-5 and error(quick, of_weight) < 1e-5
    assert (error(quick, exact) > 0.2 and error(own, norms) > 0.2) if bias else error(quick, exact) < 1e-5
    same = bool((quick.argsort(1) == exact.argsort(1)).all())
    print("ranks of the training samples are the same:", same)
    assert same != bias
PYTHON
"$folder/venv/bin/python" "$folder/tracin.py"
