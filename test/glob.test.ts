import { expect, test } from "vitest";
import { selectByGlob } from "../src/graph/select-names.js";

const names = ["conv1.weight", "conv1.bias", "/layers/0/weight", "layer[0].weight", ".hidden"];

const cases: [string[], string[]][] = [
  [[], names],
  [["*"], names],
  [["**"], names],
  [["conv1*"], ["conv1.weight", "conv1.bias"]],
  [["*weight"], ["conv1.weight", "/layers/0/weight", "layer[0].weight"]],
  [["*/0/*"], ["/layers/0/weight"]],
  [["*.{bias,hidden}"], ["conv1.bias", ".hidden"]],
  [["conv?.bias"], ["conv1.bias"]],
  [["layer[0].weight"], ["layer[0].weight"]],
  [
    ["layer*", "conv1.bias"],
    ["conv1.bias", "layer[0].weight"],
  ],
  [["!*weight"], ["conv1.bias", ".hidden"]],
  [["conv*", "!*bias"], ["conv1.weight"]],
];
test.each(cases)("%j", (globs, selected) => {
  expect(selectByGlob(names, globs)).toEqual(selected);
});

test("a weight that is stored transposed goes by its plain name too", () => {
  const stored = ["fc.weight.T", "fc.bias"];
  expect(selectByGlob(stored, ["fc.weight"])).toEqual(["fc.weight.T"]);
  expect(selectByGlob(stored, ["*.weight"])).toEqual(["fc.weight.T"]);
  expect(selectByGlob(stored, ["!fc.weight"])).toEqual(["fc.bias"]);
});

test("globs that select nothing are errors that show the names", () => {
  const refused = (globs: string[], message: RegExp) =>
    expect(() => selectByGlob(names, globs)).toThrow(
      expect.objectContaining({ code: "NO_PARAMETERS", message: expect.stringMatching(message) }),
    );
  refused(["conv*", "fc*"], /"fc\*" matches no parameter: the names are "conv1.weight", /);
  refused(["!fc*"], /"!fc\*" matches no parameter/);
  refused(["!*"], /leave no parameter selected/);
  refused(["conv*", "!conv*"], /leave no parameter selected/);
});
