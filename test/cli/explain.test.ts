import { expect, it } from "vitest";
import { wantNames } from "../../src/cli/explain.js";
import { floats, linear, workspace } from "./support.js";

it("explain knows every want that takes no arguments", async () => {
  const names = wantNames.split(", ");
  expect(names).toEqual(expect.arrayContaining(["moments", "noise-scale", "dot", "gram", "cosine"]));
  const { command } = await workspace(linear(), { x: floats([2, 3]), target: floats([2, 2]) });
  const { code, out, err } = await command("explain", "--json", ...names.flatMap((name) => ["--want", name]));
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [gram] = JSON.parse(out).filter(({ wants }: { wants: string[] }) => wants[0] === "gram");
  expect(gram.parameters).toMatchObject([{ gram: "materialise" }, { gram: "materialise" }]);
});
