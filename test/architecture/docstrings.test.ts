/** Every name that users can reach has a docstring: an API reference is made from them, and editors show them. */
import { expect, it } from "vitest";
import { publicNames } from "../support/public-names.js";

const names = publicNames();
const list = (found: typeof names) => found.map(({ name, place }) => `${name} (${place})`);

it("finds exported names of every kind", () => {
  const found = new Set(names.map(({ name }) => name));
  for (const name of ["perSample", "nn.linear", "want.norms", "RunnableProgram.run", "LoadOptions.sampleAxes"])
    expect(found).toContain(name);
});

it("every exported name and public member has a docstring", () => {
  expect(list(names.filter(({ text }) => text === ""))).toEqual([]);
});

it("a docstring is made of sentences", () => {
  expect(list(names.filter(({ text }) => text !== "" && !/[.:](\s|$)/.test(text)))).toEqual([]);
});

it("a function that throws names the error's code and its cause", () => {
  expect(
    list(names.filter(({ canThrow, throws, text }) => canThrow && throws.length === 0 && !/Throws /.test(text))),
  ).toEqual([]);
});

it("an optional field of an options type says what holds without it", () => {
  expect(list(names.filter(({ option, text }) => option && !/default|without|undefined/i.test(text)))).toEqual([]);
});
