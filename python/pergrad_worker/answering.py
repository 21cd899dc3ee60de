"""Answers questions in a folder: runs a program on tensors that lie there. See src/target/onnxruntime/folder-runtime.ts."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from .files import write_json, written
from .session import load_session

ASK, ANSWER = "ask-", "answer-"


def questions(folder: str) -> list[str]:
    """The questions that have no answer yet, by their ids."""
    names = set(os.listdir(folder))
    ids = [name[len(ASK) : -len(".json")] for name in names if name.startswith(ASK) and name.endswith(".json")]
    return sorted(each for each in ids if not names & {f"{ANSWER}{each}.safetensors", f"{ANSWER}{each}.json"})


def answer(folder: str, question: str) -> None:
    """Runs what a question asks for, and writes its results under their names; what goes wrong is an answer too.

    A question that is gone was answered, or is asked for no longer.
    """
    path = os.path.join(folder, f"{ANSWER}{question}")
    try:
        with open(os.path.join(folder, f"{ASK}{question}.json"), encoding="utf-8") as file:
            asked = json.load(file)
        feeds = {name: load_file(os.path.join(folder, own))["tensor"] for name, own in asked["feeds"].items()}
    except FileNotFoundError:
        return
    try:
        session = _session(os.path.join(folder, asked["program"]), asked["disabled"])
        names = [each.name for each in session.get_outputs()]
        results = dict(zip(names, session.run(names, feeds), strict=True))
        with written(f"{path}.safetensors") as aside:
            save_file({name: np.ascontiguousarray(value) for name, value in results.items()}, aside)
    except Exception as error:
        write_json(f"{path}.json", {"message": " ".join(str(error).split())})


@lru_cache(maxsize=4)
def _session(path: str, disabled: str) -> Any:
    """A program, loaded once by each worker, to compute what Node computes."""
    return load_session(path, optimization="all", disabled=disabled.split(";"))
