"""The line protocol of a benchmark's peer: one request in JSON on each line of stdin, one answer on stdout.

{"do": "prepare", "workload": ID, "file": F, "order": [NAME, ...]}
                                          loads weights and data     -> {"alternatives": {name: kind}}
{"do": "make", "name": A}                 makes A ready, runs it once -> {}
{"do": "run", "name": A, "times": K}      runs A K times             -> {"milliseconds": of one run, "cpu": of all threads}
{"do": "check", "name": A, "file": F}     writes A's results to F    -> {}

At the start it says {"peer": ..., "versions": {...}}. A request that fails is answered by {"error": reason}.

F is a safetensors file: prepare's holds the weights as parameters/NAME, x and target; check's holds norms, and the
gradients (or their clipped sum) by the parameter's place in `order`. Kinds: "mean", "clipped", "materialised".
"""
import json
import os
import sys
import time

import numpy as np
from safetensors.numpy import load_file, save_file

THREADS = int(os.environ.get("PEER_THREADS") or os.cpu_count())


def reason(error):
    """The first line of an error."""
    lines = str(error).strip().splitlines() or ["no message"]
    return f"{type(error).__name__}: {lines[0]}"[:300]


def order_gates(tensor, order):
    """The rows of an LSTM's weights are ordered gate by gate."""
    return np.concatenate([np.split(tensor, 4)[gate] for gate in order])


def serve(peer, versions, alternatives):
    """alternatives(workload, parameters, x, target) returns {name: (kind, make)}; make() returns run(); run() returns norms
or None, and gradients, both computed by the time it returns."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Whatever a library prints is no answer.
    offered, runs = {}, {}

    def answer(content):
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    def prepare(request):
        tensors = load_file(request["file"])
        parameters = [tensors[f"parameters/{name}"] for name in request["order"]]
        offered.update(alternatives(request["workload"], parameters, tensors["x"], tensors["target"]))
        return {"alternatives": {name: kind for name, (kind, _) in offered.items()}}

    def make(request):
        _, maker = offered[request["name"]]
        once = maker()
        once()
        runs[request["name"]] = once
        return {}

    def run(request):
        once = runs[request["name"]]
        start, used = time.perf_counter(), time.process_time()
        for _ in range(request["times"]):
            once()
        of_one = 1000 / request["times"]
        return {"milliseconds": (time.perf_counter() - start) * of_one, "cpu": (time.process_time() - used) * of_one}

    def check(request):
        norms, gradients = runs[request["name"]]()
        results = {} if norms is None else {"norms": np.asarray(norms)}
        results |= {str(k): np.ascontiguousarray(np.asarray(gradient)) for k, gradient in enumerate(gradients)}
        save_file(results, request["file"])
        return {}

    answer({"peer": peer, "versions": versions})
    does = {"prepare": prepare, "make": make, "run": run, "check": check}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer(does[request["do"]](request))
        except Exception as error:
            answer({"error": reason(error)})
