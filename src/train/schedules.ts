/** Learning rates that change from step to step. */
import { need, rateAt } from "./optimizer.js";

type Schedule = (step: number) => number;

function needSteps(name: string, steps: number): void {
  need(name, steps, Number.isSafeInteger(steps) && steps >= 1, "a whole number from 1 up");
}

/** The share of `steps` that has passed, in [0, 1]. */
const passed = (step: number, steps: number) => Math.min(step / steps, 1);

/** Falls along half a cosine from `from` to `to` (default 0) within `steps`, and stays there. */
function cosine({ from, to = 0, steps }: { from: number; to?: number; steps: number }): Schedule {
  rateAt(from, 0);
  rateAt(to, 0);
  needSteps("steps", steps);
  return (step) => to + ((from - to) * (1 + Math.cos(Math.PI * passed(step, steps)))) / 2;
}

/** Changes evenly from `from` to `to` (default 0) within `steps`, and stays there. */
function linear({ from, to = 0, steps }: { from: number; to?: number; steps: number }): Schedule {
  rateAt(from, 0);
  rateAt(to, 0);
  needSteps("steps", steps);
  return (step) => from + (to - from) * passed(step, steps);
}

/** Is multiplied by `factor`, in (0, 1], after every `every` steps. */
function stepwise({ from, factor, every }: { from: number; factor: number; every: number }): Schedule {
  rateAt(from, 0);
  need("factor", factor, factor > 0 && factor <= 1, "above 0 and at most 1");
  needSteps("every", every);
  return (step) => from * factor ** Math.floor(step / every);
}

/** Rises evenly for `steps` steps, 1 / (steps + 1) of the first rate at first; `then` begins afterwards, from its own step 0. */
function warmUp(steps: number, then: number | Schedule): Schedule {
  needSteps("steps", steps);
  const rate = (step: number) => rateAt(then, step);
  rate(0);
  return (step) => (step < steps ? (rate(0) * (step + 1)) / (steps + 1) : rate(step - steps));
}

/** Learning rates that change from step to step: functions of the step's index, from 0. */
export const schedules = { cosine, linear, stepwise, warmUp } as const;
