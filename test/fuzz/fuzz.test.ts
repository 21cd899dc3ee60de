import { expect, it } from "vitest";
import { attempt } from "../../fuzz/attempt.js";
import { Cases } from "../../fuzz/cases.js";

const cases = new Cases(1);

it.each([0, 100, 200])("of 300 damaged models each loads or is refused, from %i", async (from) => {
  for (let index = from; index < from + 100; index++) {
    const made = cases.at(index);
    const outcome = await attempt(made);
    const problem = outcome.kind === "finding" ? outcome.problem : "";
    expect(problem, `--seed 1 --only ${index} (${made.what})`).toBe("");
  }
});
