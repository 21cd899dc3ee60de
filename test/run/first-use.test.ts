/** The runtime is loaded when a program first needs it, and telemetry is off from the first import on. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";

const built = pathToFileURL(join(import.meta.dirname, "../../dist/node/pergrad.js")).href;

const script = `
const { losses, nn, perSample, want } = await import(${JSON.stringify(built)});
const loaded = () => process.report.getReport().sharedObjects.some((path) => path.includes("onnxruntime"));
const model = nn.model(nn.linear(2, 2), { seed: 0 });
const seen = [loaded(), process.env.ORT_DISABLE_TELEMETRY];
const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() } });
await program.release();
console.log(JSON.stringify([...seen, loaded()]));
`;

it("a process that imports pergrad holds no runtime until it compiles a program", () => {
  const { ORT_DISABLE_TELEMETRY: _, ...env } = process.env;
  const printed = execFileSync(process.execPath, ["--input-type=module", "-e", script], { env, encoding: "utf8" });
  expect(JSON.parse(printed)).toEqual([false, "1", true]);
});
