/** Execution providers: the devices that a runtime can compute on, and what a user must install for them. */
import { invalidArgument, kindOf } from "../../arguments.js";
import { PergradError } from "../../errors.js";
import type { ExecutionProvider } from "../runtime.js";

/** Where to get each one. */
const needs: Readonly<Record<ExecutionProvider, string>> = {
  cpu: "it is in every package",
  cuda: "on Linux and x64, install CUDA 12 and cuDNN 9, and run npm install onnxruntime-node with its install script, which fetches the libraries for CUDA",
  tensorrt:
    "on Linux and x64, install CUDA 12, cuDNN 9 and TensorRT 10, and run npm install onnxruntime-node with its install script",
  webgpu: "it needs a driver for Vulkan, Metal or Direct3D 12",
  dml: "it is in onnxruntime-node on Windows",
  coreml: "it is in onnxruntime-node on macOS",
};

/** Whether anything other than the CPU is requested. */
export function onGpu(execution: readonly ExecutionProvider[] = []): boolean {
  return execution.some((each) => each !== "cpu");
}

/** What to install for all of them except the CPU. */
export function toInstall(execution: readonly ExecutionProvider[]): string {
  const lacking = execution.filter((each) => each !== "cpu").map((each) => `for ${each}, ${needs[each]}`);
  return `${lacking.join("; ")}; or leave it out`;
}

/**
 * @param here the providers that the runtime's library has
 * @param runtime its name and version
 * @throws PergradError INVALID_ARGUMENT, also for one that is not there, with what to install.
 */
export function checkExecution(
  execution: readonly ExecutionProvider[],
  here: readonly string[],
  runtime: string,
): void {
  const words = Object.keys(needs);
  const given: unknown = execution;
  if (!Array.isArray(given) || given.length === 0)
    throw invalidArgument(
      `execution must be a list of ${words.join(", ")}, the preferred one first, not ${kindOf(given)}.`,
    );
  for (const each of execution) {
    if (!words.includes(each))
      throw invalidArgument(
        `There is no execution provider ${JSON.stringify(each)}; give some of ${words.join(", ")}.`,
      );
    if (here.includes(each)) continue;
    throw new PergradError(
      "INVALID_ARGUMENT",
      `The execution provider "${each}" is not in ${runtime} here, which has ${here.join(", ")}; ${needs[each]}, or leave it out.`,
    );
  }
}

/** A remark on operators that ran on the CPU although another device was requested; null if none did. */
export function fallenBack(
  nodes: readonly { readonly op: string; readonly provider?: string | undefined }[],
  execution: readonly ExecutionProvider[],
): string | null {
  const [preferred] = execution;
  const counts = new Map<string, number>();
  for (const { op, provider } of nodes)
    if (provider === "CPUExecutionProvider" && preferred !== "cpu") counts.set(op, (counts.get(op) ?? 0) + 1);
  if (counts.size === 0) return null;
  const shown = [...counts].sort(([, a], [, b]) => b - a).map(([op, count]) => (count === 1 ? op : `${op} (${count})`));
  return `Not on ${preferred} but on the CPU run ${shown.join(", ")}.`;
}
