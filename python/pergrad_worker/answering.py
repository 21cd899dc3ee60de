"""Answers the questions in a folder. Each asks to run a program on tensors, all of which lie there.

src/target/onnxruntime/folder-runtime.ts asks them.
"""

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
    """The ids of the questions that have no answer yet."""
    names = set(os.listdir(folder))
    ids = [name[len(ASK) : -len(".json")] for name in names if name.startswith(ASK) and name.endswith(".json")]
    return sorted(each for each in ids if not names & {f"{ANSWER}{each}.safetensors", f"{ANSWER}{each}.json"})


def answer(folder: str, question: str) -> None:
    """Runs what a question asks for, and writes the results by name. If the run fails, the answer is the error.

    A question whose file is gone needs no answer: it has one, or nobody waits for it.
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
    """A program, which each worker loads once. With these settings it computes what Node computes."""
    return load_session(path, optimization="all", disabled=disabled.split(";"))
