"""PyTorch and Opacus as peers: see protocol.py."""
import importlib.metadata
import warnings

import torch
import torch.nn.functional as F
from torch.func import functional_call, grad, vmap
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

from protocol import THREADS, order_gates, serve
from torch_models import LoopedLstm, fused_lstm, network

try:
    import opacus
    from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
    from opacus.layers import DPLSTM
except ImportError:
    opacus = None



def private_lstm(inputs, hidden):
    return DPLSTM(inputs, hidden, batch_first=True)


warnings.filterwarnings("ignore")
torch.set_num_threads(THREADS)

MAX_NORM = 1.0
# Our order is input, output, forget, cell; PyTorch's is input, forget, cell, output.
TO_TORCH = [0, 2, 3, 1]
FROM_TORCH = [0, 3, 1, 2]


def sample_losses(output, target):
    """[N]: the mean over each sample's own positions."""
    if target.dim() == 1:
        return F.cross_entropy(output, target, reduction="none")
    losses = F.cross_entropy(output.flatten(0, 1), target.flatten(), reduction="none")
    return losses.view(target.shape).mean(1)


def clipped(gradients):
    """From gradients [N, ...]: norms [N] and the clipped sum."""
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients])
    norms = squares.sum(0).sqrt()
    factors = MAX_NORM / norms.clamp(min=MAX_NORM)
    return norms, [torch.tensordot(factors, gradient, 1) for gradient in gradients]


class Workload:
    def __init__(self, workload, parameters, x, target):
        self.workload = workload
        self.initial = [torch.from_numpy(values.copy()) for values in parameters]
        if workload == "lstm":
            for k in range(1, 5):
                self.initial[k] = torch.from_numpy(order_gates(parameters[k], TO_TORCH))
        self.x, self.target = torch.from_numpy(x), torch.from_numpy(target)

    def network(self, lstm=fused_lstm):
        model = network(self.workload, lstm)
        own = list(model.parameters())
        if self.workload == "lstm" and lstm is private_lstm:
            # Opacus stores the biases beside their weights.
            named = dict(zip(["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"], self.initial[1:5]))
            model.lstm.load_state_dict(named)
            own = [model.words.weight, *[model.lstm.get_parameter(self.dp_name(n)) for n in named], *model.head.parameters()]
        assert [tuple(p.shape) for p in own] == [tuple(p.shape) for p in self.initial]
        with torch.no_grad():
            for parameter, initial in zip(own, self.initial):
                parameter.copy_(initial)
        return model, own

    @staticmethod
    def dp_name(name):
        kind, gates = name.split("_")[:2]
        return f"l0.{gates}.{kind}"

    def results(self, norms, gradients):
        if self.workload == "lstm":
            gradients = [order_gates(g.detach().numpy(), FROM_TORCH) if 1 <= k <= 4 else g for k, g in enumerate(gradients)]
        return norms, [g.detach() if torch.is_tensor(g) else g for g in gradients]

    def mean_gradient(self):
        model, own = self.network()

        def run():
            loss = sample_losses(model(self.x), self.target).mean()
            return self.results(None, torch.autograd.grad(loss, own))

        return run

    def vmap_gradients(self):
        model, _ = self.network(LoopedLstm)
        parameters = {name: p.detach() for name, p in model.named_parameters()}

        def loss(parameters, x, target):
            output = functional_call(model, parameters, (x.unsqueeze(0),))
            return sample_losses(output, target.unsqueeze(0)).sum()

        every = vmap(grad(loss), in_dims=(None, 0, 0))
        return lambda: list(every(parameters, self.x, self.target).values())

    def vmap_materialised(self):
        gradients = self.vmap_gradients()
        return lambda: (None, gradients())

    def vmap_clipped(self):
        gradients = self.vmap_gradients()
        return lambda: self.results(*clipped(gradients()))

    def expanded_weights(self):
        model, own = self.network()
        samples = self.x.shape[0]
        per_sample = call_for_per_sample_grads(model, batch_size=samples, loss_reduction="sum")

        def run():
            for parameter in own:
                parameter.grad_sample = None
            sample_losses(per_sample(self.x), self.target).sum().backward()
            return self.results(*clipped([parameter.grad_sample for parameter in own]))

        return run

    def opacus_hooks(self):
        model, own = self.network(private_lstm)
        wrapped = GradSampleModule(model, loss_reduction="sum")

        def run():
            for parameter in own:
                parameter.grad = parameter.grad_sample = None
            sample_losses(wrapped(self.x), self.target).sum().backward()
            return self.results(*clipped([parameter.grad_sample for parameter in own]))

        return run

    def opacus_ghost(self):
        model, own = self.network(private_lstm)
        wrapped = GradSampleModuleFastGradientClipping(
            model, max_grad_norm=MAX_NORM, use_ghost_clipping=True, loss_reduction="sum"
        )

        def run():
            for parameter in own:
                parameter.grad = parameter.grad_sample = None
            wrapped.enable_hooks()
            losses = sample_losses(wrapped(self.x), self.target)
            losses.sum().backward(retain_graph=True)
            norms = wrapped.get_norm_sample()
            factors = wrapped.get_clipping_coef()
            for parameter in own:
                parameter.grad = None
            wrapped.disable_hooks()
            (losses * factors).sum().backward()
            return self.results(norms, [parameter.grad for parameter in own])

        return run


def alternatives(workload, parameters, x, target):
    work = Workload(workload, parameters, x, target)
    offered = {
        "PyTorch mean gradient": ("mean", work.mean_gradient),
        "PyTorch vmap(grad)": ("materialised", work.vmap_materialised),
        "PyTorch vmap(grad), clipped": ("clipped", work.vmap_clipped),
        "PyTorch ExpandedWeights, clipped": ("clipped", work.expanded_weights),
    }
    if opacus:
        offered["Opacus hooks, clipped"] = ("clipped", work.opacus_hooks)
        offered["Opacus ghost, clipped"] = ("clipped", work.opacus_ghost)
    return offered


packages = ["torch", *(["opacus"] if opacus else [])]
serve("PyTorch", {name: importlib.metadata.version(name) for name in packages}, alternatives)
