#!/usr/bin/env bash
# dp-accounting's PLD accountant: the same steps told one by one have an infinite epsilon where those told at once have a finite one.
#
# Versions: dp-accounting 0.6.0, numpy 2.2.6, scipy 1.16.3, Python 3.11 or later.
# Expected by most: accountants keep a sum, so `compose(step)` in the training loop and `compose(step, count)` after it agree;
# and accounting by privacy loss distributions is never worse than by Rényi divergences.
# Seen: each call of compose cuts probability of about 1e-15 off the distribution's tail and counts it as a failure. Twenty calls
# for one step each leave no finite epsilon for any delta below 2e-14; one call for twenty steps has one down to 1e-15; the Rényi
# accountant has a finite one for all. Just above that bound the epsilon is already too large. At delta 1e-5 all is well.
# Why it matters: a run of a million steps that tells each of them can show no epsilon below delta 1e-9, and the reader is told
# "infinite", as if nothing were private. Runs of equal steps have to be gathered first; and a search for the least noise that
# takes the smaller of two accountants has to bear infinities.
# Source: measured here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/compose.py" <<'PYTHON'
import math
from importlib.metadata import version

from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

STEP = PoissonSampledDpEvent(0.01, GaussianDpEvent(1.0))
STEPS = 20
DELTAS = (1e-5, 3e-14, 1e-14, 5e-16)


def epsilons(accountant, calls):
    for _ in range(calls):
        accountant.compose(STEP, STEPS // calls)
    return [float(accountant.get_epsilon(delta)) for delta in DELTAS]


one_by_one = epsilons(PLDAccountant(), STEPS)
at_once = epsilons(PLDAccountant(), 1)
renyi = epsilons(RdpAccountant(), STEPS)
print(f"dp-accounting {version('dp-accounting')}, {STEPS} steps")
for row in zip(DELTAS, one_by_one, at_once, renyi):
    print("delta {:g}: one by one {:.4f}, at once {:.4f}, by Rényi divergences {:.4f}".format(*row))
assert math.isclose(one_by_one[0], at_once[0], rel_tol=1e-6), "at delta 1e-5 both agree"
assert at_once[1] * 1.03 < one_by_one[1] < math.inf, "above the bound it is too large"
assert one_by_one[2] == math.inf and at_once[2] < renyi[2], "below the bound it is infinite"
assert at_once[3] == math.inf and renyi[3] < math.inf, "below 1e-15 it is infinite for one call too"
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dp-accounting==0.6.0 numpy==2.2.6 scipy==1.16.3
"$folder/venv/bin/python" "$folder/compose.py"
