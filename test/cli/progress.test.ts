import { expect, test } from "vitest";
import { Progress } from "../../src/cli/progress.js";
import { capture } from "./support.js";

test("nothing is shown off a terminal, nor before its time", () => {
  for (const io of [capture(false), capture(true)]) {
    const progress = new Progress(io, io.stderr.isTTY ? 60_000 : 0);
    progress.stage("samples", 10);
    progress.update(5);
    progress.stop();
    expect(io.stderr.text).toBe("");
  }
});

test("a bar is shown on a terminal and taken away", () => {
  const io = capture(true);
  const progress = new Progress(io, 0);
  progress.stage("samples", 10);
  expect(io.stderr.text).toMatch(/samples \[-{30}\] 0\/10/);
  progress.update(10);
  progress.stop();
  progress.update(10);
  // The line is cleared at the end.
  expect(io.stderr.text).toContain("\u001b[0K");
  expect(io.stdout.text).toBe("");
});

test("a bar appears by itself during a long stage", async () => {
  const io = capture(true);
  const progress = new Progress(io, 5);
  progress.stage("compiling");
  await new Promise((resolve) => setTimeout(resolve, 40));
  expect(io.stderr.text).toMatch(/compiling \.\.\./);
  expect(io.stderr.text).not.toMatch(/0\/1/);
  progress.stop();
});
