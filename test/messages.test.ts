import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { faultsOf, type Message, messagesOf } from "./support/messages.js";

const root = join(import.meta.dirname, "..");

/** @param source with `@{` for the beginning of an interpolation */
function sample(source: string): Message[] {
  return messagesOf(source.replaceAll("@{", "$" + "{"), "src/sample.ts");
}

function faultsIn(source: string): string[] {
  return sample(source).flatMap(faultsOf);
}

describe("the messages of the catalogue", () => {
  const messages = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((file) => `src/${file.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => messagesOf(readFileSync(join(root, file), "utf8"), file));

  it("are read from the sources, all of them", () => {
    expect(messages.length).toBeGreaterThan(500);
    expect(new Set(messages.map(({ code }) => code)).size).toBeGreaterThan(15);
  });

  it("are one sentence each: subject, predicate, what to do", () => {
    const faults = messages.flatMap((message) =>
      faultsOf(message).map((fault) => `${message.file}:${message.line} ${fault}: ${message.text}`),
    );
    expect(faults).toEqual([]);
  });
});

describe("what is wrong with a message is found", () => {
  it.each([
    ['unsupported(call, "its mode is not known")', 'begins with "its", which is no verb'],
    ['unsupported(call, "mode is not supported")', 'begins with "mode", which is no verb'],
    ["unsupported(call, `@{describe(call)} runs backwards`)", "names its node, which the builder names"],
    ['shapeMismatch(call, "has no axes.")', "ends with a full stop, which the builder adds"],
    ['new PergradError("TOO_LARGE", "has the mode x.")', "has no subject at its beginning"],
    ["new PergradError('TOO_LARGE', `@{describe(a)}: @{describe(a)} runs.`)", "names its subject twice"],
    ['new PergradError("TOO_LARGE", "The model is large")', "does not end with a full stop"],
    ['new PergradError("TOO_LARGE", "The model is large. " + "Take another.")', "is more than one sentence"],
    ["new PergradError('TOO_LARGE', `The model holds @{dims.at(-1)} elements.`)", "may show undefined"],
    ["new PergradError('TOO_LARGE', `The model holds @{tensor?.dims} elements.`)", "may show undefined"],
    ['new PergradError("TOO_LARGE", "A factor of at most Infinity.")', "shows a value of JavaScript"],
    ['new PergradError("TOO_LARGE", "The tensors of which one is large.")', "is not plain English"],
    ['new PergradError("MISSING_TENSOR", "The model has no output y.")', "does not say what to do"],
    [
      'const text = large ? "the model" : "A model."; new PergradError("TOO_LARGE", text)',
      "has no subject at its beginning",
    ],
    ['invalid("Odd: 3 is outside.")', "does not say what to do"],
  ])("%s", (source, fault) => {
    expect(faultsIn(source)).toContain(fault);
  });

  it.each([
    'unsupported(call, "has the mode x")',
    "new PergradError('MISSING_TENSOR', `The model has no output \"@{name}\"; give one of @{names.at(-1) ?? 'none'}.`)",
    'invalid(`einsum: "@{equation}" is not an equation; write one.`)',
  ])("and nothing in %s", (source) => {
    expect(sample(source)).toHaveLength(1);
    expect(faultsIn(source)).toEqual([]);
  });
});
