import fc from "fast-check";
import picomatch from "picomatch";
import { expect, it, test } from "vitest";
import { globTest } from "../src/graph/glob.js";
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

test("a dash is an ordinary character outside brackets", () => {
  const dashed = ["block-1.weight", "-1", "a-b"];
  expect(selectByGlob(dashed, ["block-*"])).toEqual(["block-1.weight"]);
  expect(selectByGlob(dashed, ["-1", "a[-_]b"])).toEqual(["-1", "a-b"]);
  expect(selectByGlob(dashed, ["[a-c]-?"])).toEqual(["a-b"]);
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
  refused(["!*"], /together select no parameter/);
  refused(["conv*", "!conv*"], /together select no parameter/);
});

// picomatch knows paths: without slashes, which are ordinary letters here.
const letters = fc.constantFrom("a", "b", "c", ".", "_", "0");
const piece = fc.oneof(
  letters,
  fc.constantFrom("*", "?", "[ab]", "[a-c]", "[^a]"),
  fc
    .array(fc.string({ unit: fc.constantFrom("a", "b", "*"), minLength: 1, maxLength: 2 }), {
      minLength: 2,
      maxLength: 3,
    })
    .map((each) => `{${each.join()}}`),
);

it("globs select what picomatch selects by them", () => {
  const globs = fc.array(piece, { minLength: 1, maxLength: 5 }).map((each) => each.join(""));
  fc.assert(
    fc.property(globs, fc.string({ unit: letters, minLength: 1, maxLength: 6 }), (glob, name) => {
      const theirs = picomatch(glob, { bash: true, dot: true, nonegate: true });
      expect([glob, name, globTest(glob)(name)]).toEqual([glob, name, theirs(name)]);
    }),
    { numRuns: 2000 },
  );
});

it.each([
  ["a[", "a["],
  ["a{b", "a{b"],
  ["{a}", "{a}"],
  ["a]}", "a]}"],
  ["a\\*", "a*"],
  ["[b-a]", "-"],
  ["(a|b)+$^", "(a|b)+$^"],
  ["{a,b{c,d}}", "bd"],
  ["[]a]", "]"],
  ["{a,}b", "b"],
  ["a?b", "a/b"],
  ["[!ab]", "c"],
  ["\u{1f600}?", "\u{1f600}x"],
])("%s matches %s", (glob, name) => {
  expect(globTest(glob)(name)).toBe(true);
  expect(globTest(glob)(`${name}~`)).toBe(false);
});
