"""Writes test/solvers/laplace-torch.json: Laplace approximations of small networks by laplace-torch.

Run with Python where laplace-torch 0.3, curvlinops-for-pytorch 3.0.1 and torch 2.15 are installed:
python scripts/laplace-torch.py
"""

import json
from pathlib import Path

import torch
from laplace import Laplace
from laplace.curvature import CurvlinopsGGN
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

PRIOR = 0.7
NOISE = 0.6
STRUCTURES = {
    "full": ("all", "full"),
    "kronecker": ("all", "kron"),
    "diagonal": ("all", "diag"),
    "lastLayer": ("last_layer", "full"),
}


def perceptron():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))


def images():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(3, 2, 2, bias=False),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def regression():
    return nn.Sequential(nn.Linear(3, 5, bias=False), nn.Tanh(), nn.Linear(5, 2))


CASES = {
    "perceptron": (perceptron, [3], "classification", 3),
    "images": (images, [2, 5, 5], "classification", 4),
    "regression": (regression, [3], "regression", 2),
}


def numbers(tensor):
    return {"dims": list(tensor.shape), "data": tensor.reshape(-1).tolist()}


def predicted(model, likelihood, structure, x, y, queries):
    weights, hessian = STRUCTURES[structure]
    noise = {"sigma_noise": NOISE} if likelihood == "regression" else {}
    posterior = Laplace(
        model,
        likelihood,
        subset_of_weights=weights,
        hessian_structure=hessian,
        backend=CurvlinopsGGN,
        prior_precision=PRIOR,
        **noise,
    )
    posterior.fit(DataLoader(TensorDataset(x, y), batch_size=len(x)))
    # The variances for all structures: if probabilities are requested, a call returns only the diagonal.
    _, variance = posterior._glm_predictive_distribution(queries)
    found = {
        "covariance": numbers(variance.detach()),
        "logMarginalLikelihood": float(posterior.log_marginal_likelihood()),
        "logDeterminantRatio": float(posterior.log_det_ratio),
    }
    if likelihood == "classification":
        chances = posterior(queries, pred_type="glm", link_approx="probit")
        found["probabilities"] = numbers(chances.detach())
    return found


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    written = {}
    for name, (make, shape, likelihood, outputs) in CASES.items():
        # Numbers that float32 can represent too.
        model = make().float().double()
        x, queries = (torch.randn(n, *shape).float().double() for n in (9, 4))
        y = (
            torch.randint(0, outputs, (9,))
            if likelihood == "classification"
            else torch.randn(9, outputs).float().double()
        )
        written[name] = {
            "priorPrecision": PRIOR,
            "noise": NOISE if likelihood == "regression" else None,
            "parameters": {key: numbers(value.detach()) for key, value in model.named_parameters()},
            "x": numbers(x),
            "target": numbers(y),
            "queries": numbers(queries),
            "structures": {
                structure: predicted(model, likelihood, structure, x, y, queries)
                for structure in STRUCTURES
            },
        }
    path = Path(__file__).parent.parent / "test" / "solvers" / "laplace-torch.json"
    path.write_text(json.dumps(written) + "\n")


main()
