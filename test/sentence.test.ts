/** Errors name options as code spells them; whoever shows one may spell them otherwise. */
import { expect, it } from "vitest";
import { advised, PergradError, problemOf, readvised } from "../src/errors.js";
import { type NamedOption, option, sentence } from "../src/sentence.js";

const inCapitals = ({ name }: NamedOption) => name.toUpperCase();

it.each([
  [option("allowNotFinite"), "allowNotFinite"],
  [option("damping", 0.01), "damping: 0.01"],
  [option("layer", "head.weight"), 'layer: "head.weight"'],
  [option("fix", { sr: "VALUE" }), "fix: { sr: VALUE }"],
  [option("sampleAxes", { x: 0, "my input": null }), 'sampleAxes: { x: 0, "my input": null }'],
])("an option as code spells it: %s", (named, spelled) => {
  expect(String(named)).toBe(spelled);
  expect(sentence`give ${named}`.spelled()).toBe(`give ${spelled}`);
});

it("a sentence within a sentence keeps its options", () => {
  const inner = sentence`say so (${option("sampleAxes", { x: 1 })})`;
  const outer = sentence`2 are wrong; ${inner}, or ${"correct it"}.`;
  expect(outer.spelled()).toBe("2 are wrong; say so (sampleAxes: { x: 1 }), or correct it.");
  expect(outer.spelled(inCapitals)).toBe("2 are wrong; say so (SAMPLEAXES), or correct it.");
  expect([outer.names("sampleAxes"), outer.names("fix")]).toEqual([true, false]);
});

it("an error is spelled as its reader needs it, with its own advice or another", () => {
  const whole = new PergradError("NOT_FINITE", sentence`It holds NaN; set ${option("allowNotFinite")}.`);
  expect(whole.message).toBe("It holds NaN; set allowNotFinite.");
  expect(whole.spelled(inCapitals)).toBe("It holds NaN; set ALLOWNOTFINITE.");
  expect(problemOf(whole)).toBe("It holds NaN; set allowNotFinite");

  const own = advised("UNKNOWN_SHAPE", sentence`The size of ${option("fix")} is open`, "give it");
  const other = readvised(own, sentence`set ${option("dimensions", { T: 5 })}`);
  expect(other.spelled(inCapitals)).toBe("The size of FIX is open; set DIMENSIONS.");
  expect([other.names("fix"), other.names("dimensions"), own.names("dimensions")]).toEqual([true, true, false]);
});
