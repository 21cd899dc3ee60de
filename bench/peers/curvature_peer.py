"""BackPACK, curvlinops and laplace-torch as peers for second derivatives: see protocol.py. The kinds are "mean",
"ggnProduct" (with the vector of `vector_like`) and "ggnDiagonal", each a mean over the samples."""
import importlib.metadata
import importlib.util
import warnings

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from protocol import THREADS, serve
from torch_models import fused_lstm, network

warnings.filterwarnings("ignore")
torch.set_num_threads(THREADS)

try:
    from backpack import backpack, extend
    from backpack.extensions import DiagGGNExact
except ImportError:
    backpack = None
try:
    from curvlinops import GGNLinearOperator
except ImportError:
    GGNLinearOperator = None
try:
    from laplace import Laplace
    from laplace.curvature import BackPackGGN
except ImportError:
    Laplace = None


class OnePerRow(nn.Module):
    """The scores of each position in a row of their own, as the loss expects them."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        output = self.model(x)
        return output.flatten(0, 1) if output.dim() == 3 else output


def vector_like(parameter):
    """sin(1), sin(2), ... in each parameter."""
    return torch.sin(torch.arange(1, parameter.numel() + 1, dtype=torch.float64)).float().view_as(parameter)


class Workload:
    def __init__(self, workload, parameters, x, target):
        self.name = workload
        self.initial = [torch.from_numpy(values.copy()) for values in parameters]
        self.x, self.target = torch.from_numpy(x), torch.from_numpy(target).flatten()

    def network(self):
        model = network(self.name, fused_lstm)
        own = list(model.parameters())
        with torch.no_grad():
            for parameter, initial in zip(own, self.initial, strict=True):
                parameter.copy_(initial)
        return model, own

    def mean_gradient(self):
        model, own = self.network()
        rows = OnePerRow(model)
        return lambda: (None, torch.autograd.grad(nn.functional.cross_entropy(rows(self.x), self.target), own))

    def backpack_diagonal(self):
        model, own = self.network()
        extended, loss = extend(model), extend(nn.CrossEntropyLoss())

        def run():
            for parameter in own:
                parameter.grad = None
            with backpack(DiagGGNExact()):
                loss(extended(self.x), self.target).backward()
            return None, [parameter.diag_ggn_exact.detach() for parameter in own]

        return run

    def laplace_diagonal(self):
        model, own = self.network()
        data = DataLoader(TensorDataset(self.x, self.target), batch_size=len(self.x))
        # Its own method for the diagonal holds the Jacobians of all samples: more than 16 GB here.
        posterior = Laplace(model, "classification", subset_of_weights="all", hessian_structure="diag", backend=BackPackGGN)

        def run():
            posterior.fit(data)
            sizes = [parameter.numel() for parameter in own]
            # The result is the sum over the samples.
            parts = (posterior.H / len(self.x)).split(sizes)
            return None, [part.view_as(parameter).detach() for part, parameter in zip(parts, own)]

        return run

    def curvlinops_product(self):
        model, own = self.network()
        rows = OnePerRow(model)
        data = [(self.x, self.target)]
        matrix = GGNLinearOperator(rows, nn.CrossEntropyLoss(), own, data, check_deterministic=False)
        vector = {name: vector_like(parameter) for name, parameter in rows.named_parameters()}
        flat = torch.cat([each.flatten() for each in vector.values()])

        def run():
            product = (matrix @ flat).split([parameter.numel() for parameter in own])
            return None, [part.view_as(parameter).detach() for part, parameter in zip(product, own)]

        return run


def alternatives(workload, parameters, x, target):
    work = Workload(workload, parameters, x, target)
    offered = {"PyTorch mean gradient": ("mean", work.mean_gradient)}
    if backpack:
        offered["BackPACK DiagGGNExact"] = ("ggnDiagonal", work.backpack_diagonal)
    if Laplace:
        offered["laplace-torch, diagonal"] = ("ggnDiagonal", work.laplace_diagonal)
    if GGNLinearOperator:
        offered["curvlinops GGNLinearOperator"] = ("ggnProduct", work.curvlinops_product)
    return offered


packages = ["torch", "backpack-for-pytorch", "curvlinops-for-pytorch", "laplace-torch"]
there = {name: importlib.metadata.version(name) for name in packages if importlib.util.find_spec(name.split("-")[0])}
serve("curvature", there, alternatives)
