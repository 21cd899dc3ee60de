/** The shell's own completion, asked as the shell asks it. */
import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { run } from "./support.js";

function completed(script: string, ...words: readonly string[]): string[] {
  const line = words.map((word) => `'${word}'`).join(" ");
  const asked = `${script}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _pergrad; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", asked], { encoding: "utf8" })
    .split("\n")
    .filter((word) => word !== "");
}

it("bash completes commands, options and words", async () => {
  const { code, out } = await run("completion", "bash");
  expect(code).toBe(0);
  expect(completed(out, "pergrad", "n")).toEqual(["norms"]);
  expect(completed(out, "pergrad", "clipped-sum", "m.onnx", "--max")).toEqual(["--max-norm"]);
  expect(completed(out, "pergrad", "train", "--optimizer", "ada")).toEqual(["adam", "adamw"]);
  // Files are left to the shell.
  expect(completed(out, "pergrad", "norms", "m")).toEqual([]);
});

it("zsh and fish have scripts of theirs; others are refused", async () => {
  expect((await run("completion", "zsh")).out).toMatch(/^autoload -U \+X bashcompinit/);
  expect((await run("completion", "fish")).out).toMatch(/^complete -c pergrad .* -l max-norm -r -d /m);
  expect(await run("completion", "csh")).toMatchObject({
    code: 2,
    err: expect.stringMatching(/The shell cannot be "csh": it must be one of bash, zsh, fish/),
  });
  expect(await run("completion")).toMatchObject({ code: 2, err: expect.stringMatching(/give bash, zsh or fish/) });
});
