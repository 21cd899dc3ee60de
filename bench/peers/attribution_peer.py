"""dattri, TRAK and kronfluence as peers for attribution: see protocol.py. The kinds are "index" (2,048 numbers for each
sample of the batch, which TRAK gets by projecting gradients) and "ekfac" (scores of all samples but the last hundred,
which are the queries)."""
import importlib.metadata
import importlib.util
import logging
import tempfile
import warnings

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from protocol import THREADS, serve
from torch_models import network

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
torch.set_num_threads(THREADS)

DIMS = 2048
QUERIES = 100
DAMPING = 1e-3


def there(package):
    return importlib.util.find_spec(package) is not None


def loss_of(scores, target):
    """The loss of one sample, or the mean over a batch: cross-entropy over all positions."""
    return nn.functional.cross_entropy(scores.flatten(0, -2), target.flatten())


class Workload:
    def __init__(self, workload, parameters, x, target):
        self.name = workload
        self.initial = [torch.from_numpy(values.copy()) for values in parameters]
        self.x, self.target = torch.from_numpy(x), torch.from_numpy(target)

    def network(self):
        model = network(self.name)
        with torch.no_grad():
            for parameter, initial in zip(model.parameters(), self.initial, strict=True):
                parameter.copy_(initial)
        return model.eval()

    def dattri_index(self):
        """Does what TRAKAttributor.cache does for each batch, without the linear system that it solves at the end."""
        from dattri.func.projection import random_project
        from dattri.task import AttributionTask

        model = self.network()

        def loss(parameters, pair):
            x, target = pair
            return loss_of(torch.func.functional_call(model, parameters, (x[None],)), target[None])

        task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
        gradients = task.get_grad_loss_func(in_dims=(None, 0))
        settings = {"proj_dim": DIMS, "proj_max_batch_size": 32, "proj_seed": 0, "device": "cpu"}

        def run():
            parameters, _ = task.get_param(ckpt_idx=0)
            rows = torch.nan_to_num(gradients(parameters, (self.x, self.target)))
            random_project(rows, rows.shape[0], **settings)(rows, ensemble_id=0)
            return None, []

        return run

    def trak_index(self):
        from trak import TRAKer
        from trak.modelout_functions import AbstractModelOutput

        class Loss(AbstractModelOutput):
            def __init__(self):
                super().__init__()

            @staticmethod
            def get_output(model, weights, buffers, x, target):
                scores = torch.func.functional_call(model, (weights, buffers), args=(x[None],))
                return loss_of(scores, target[None])

            @staticmethod
            def get_out_to_loss_grad(model, weights, buffers, batch):
                return torch.ones(len(batch[0]), 1)

        model = self.network()
        count = len(self.x)
        # The peer keeps a reference, so that the folder lives as long as the peer.
        self.folder = folder = tempfile.TemporaryDirectory()
        options = {"train_set_size": count, "save_dir": folder.name, "device": "cpu", "proj_dim": DIMS}
        made = TRAKer(model=model, task=Loss(), use_half_precision=False, logging_level=50, **options)
        made.load_checkpoint(model.state_dict(), model_id=0)

        def run():
            # A sample that is marked as done would be skipped.
            made.saver.current_store["is_featurized"][:] = 0
            made.featurize(batch=(self.x, self.target), inds=np.arange(count))
            return None, []

        return run

    def kronfluence_scores(self):
        from kronfluence.analyzer import Analyzer, prepare_model
        from kronfluence.arguments import FactorArguments, ScoreArguments
        from kronfluence.task import Task

        class Classification(Task):
            def compute_train_loss(self, batch, model, sample=False):
                scores = model(batch[0])
                if not sample:
                    return nn.functional.cross_entropy(scores, batch[1], reduction="sum")
                with torch.no_grad():
                    drawn = torch.multinomial(scores.softmax(-1), 1).flatten()
                return nn.functional.cross_entropy(scores, drawn, reduction="sum")

            def compute_measurement(self, batch, model):
                return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

        task = Classification()
        train = TensorDataset(self.x[:-QUERIES], self.target[:-QUERIES])
        queries = TensorDataset(self.x[-QUERIES:], self.target[-QUERIES:])

        def run():
            with tempfile.TemporaryDirectory() as folder:
                model = prepare_model(self.network(), task)
                made = Analyzer("bench", model, task, cpu=True, disable_tqdm=True, disable_model_save=True, output_dir=folder)
                factors = {"factor_args": FactorArguments(strategy="ekfac"), "per_device_batch_size": 500}
                made.fit_all_factors("factors", train, **factors)
                made.compute_pairwise_scores(
                    "scores", "factors", queries, train, score_args=ScoreArguments(damping_factor=DAMPING),
                    per_device_query_batch_size=QUERIES, per_device_train_batch_size=500,
                )
            return None, []

        return run


def alternatives(workload, parameters, x, target):
    work = Workload(workload, parameters, x, target)
    offered = {}
    if workload == "digits":
        if there("kronfluence"):
            offered["kronfluence, EK-FAC"] = ("ekfac", work.kronfluence_scores)
        return offered
    if there("dattri"):
        offered["dattri, TRAK"] = ("index", work.dattri_index)
    if there("trak"):
        offered["TRAK"] = ("index", work.trak_index)
    return offered


packages = {"torch": "torch", "dattri": "dattri", "trak": "traker", "kronfluence": "kronfluence"}
versions = {name: importlib.metadata.version(name) for package, name in packages.items() if there(package)}
serve("attribution", versions, alternatives)
