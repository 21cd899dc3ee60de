/** The examples of docs/wants.md: they compile, run, and print what they say. */
import { expect, it } from "vitest";
import { want } from "../../src/index.js";
import { testExamples } from "../support/doc-examples.js";

const examples = testExamples("wants");

it("every want has an example", () => {
  for (const name of Object.keys(want)) expect(examples.join(""), name).toContain(`want.${name}(`);
});
