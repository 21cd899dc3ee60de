/** doctor: finds whether pergrad can run on this machine, and what to do if not. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { packageFile } from "../io/package-file.js";
import type { Io } from "./io.js";
import { json } from "./json.js";

export interface DoctorOptions {
  readonly json?: boolean;
}

/** The facts that a diagnosis uses. */
export interface Surroundings {
  /** Node's version, "20.19.0". */
  readonly node: string;
  /** The oldest version of Node that pergrad supports. */
  readonly oldestNode: string;
  readonly platform: string;
  readonly arch: string;
  /**
   * The version of the GNU C library; undefined on other systems, and on Linux with another library (Alpine's musl).
   */
  readonly glibc: string | undefined;
  readonly runtime: RuntimePackage | undefined;
  /**
   * The version of onnxruntime-web, which runs programs if the native runtime cannot; undefined if it is not installed.
   */
  readonly web: string | undefined;
  /** The version of onnxruntime-node that pergrad was tested with. */
  readonly testedRuntime: string;
  /** `ORT_DISABLE_TELEMETRY` in the environment. */
  readonly telemetry: string | undefined;
  /** The bytes that the process may use; undefined if there is no limit. */
  readonly memoryLimit: number | undefined;
}

export interface RuntimePackage {
  readonly version: string;
  /** Whether the package holds a binary for this platform. */
  readonly hasBinary: boolean;
}

export interface Finding {
  readonly ok: boolean;
  /** One sentence; if something is wrong, it ends with what to do. */
  readonly text: string;
}

/** With fewer gigabytes than this, models of ordinary size may not fit. */
const littleMemory = 1;

/** The findings that need no run. */
export function diagnose(found: Surroundings): Finding[] {
  return [
    nodeFinding(found),
    libraryFinding(found),
    runtimeFinding(found),
    telemetryFinding(found),
    memoryFinding(found),
  ];
}

function nodeFinding({ node, oldestNode }: Surroundings): Finding {
  const ok = node.localeCompare(oldestNode, "en", { numeric: true }) >= 0;
  return { ok, text: ok ? `Node ${node}.` : `Node ${node} is too old; install ${oldestNode} or later.` };
}

function libraryFinding({ platform, arch, glibc, web }: Surroundings): Finding {
  if (platform === "linux" && glibc === undefined && web === undefined) {
    const advice = "use an image with glibc (node:22-slim, not node:22-alpine)";
    return { ok: false, text: `This Linux has no GNU C library, which ONNX Runtime's binary needs; ${advice}.` };
  }
  return { ok: true, text: `${platform} ${arch}${glibc === undefined ? "" : `, glibc ${glibc}`}.` };
}

function runtimeFinding({ runtime, web, testedRuntime, platform, arch, glibc }: Surroundings): Finding {
  const install = `npm install onnxruntime-node@${testedRuntime} --ignore-scripts`;
  const native = runtime?.hasBinary === true && (platform !== "linux" || glibc !== undefined);
  if (!native && web !== undefined)
    return { ok: true, text: `onnxruntime-web ${web}, which is slower than onnxruntime-node and uses one thread.` };
  if (!runtime) return { ok: false, text: `onnxruntime-node is not installed; run "${install}".` };
  if (!runtime.hasBinary) {
    const text = `onnxruntime-node ${runtime.version} has no binary for ${platform} ${arch}; use one of the platforms in docs/installing.md.`;
    return { ok: false, text };
  }
  if (runtime.version === testedRuntime) return { ok: true, text: `onnxruntime-node ${runtime.version}.` };
  const text = `onnxruntime-node is ${runtime.version}, but pergrad was tested with ${testedRuntime}, and other versions differ in their numbers; run "${install}".`;
  return { ok: false, text };
}

function telemetryFinding({ telemetry }: Surroundings): Finding {
  if (telemetry !== undefined && telemetry !== "1") {
    const advice = "set it to 1, or unset it";
    return {
      ok: false,
      text: `ORT_DISABLE_TELEMETRY is "${telemetry}", so ONNX Runtime may send usage events; ${advice}.`,
    };
  }
  return { ok: true, text: "ONNX Runtime's usage events are off." };
}

function memoryFinding({ memoryLimit }: Surroundings): Finding {
  if (memoryLimit === undefined) return { ok: true, text: "Nothing limits the memory of this process." };
  const gigabytes = memoryLimit / 1e9;
  const told = `This process may use ${gigabytes.toFixed(1)} GB of memory`;
  const advice = "give it more, or use --memory-budget";
  return { ok: gigabytes >= littleMemory, text: `${told}${gigabytes >= littleMemory ? "" : `; ${advice}`}.` };
}

/** The facts about this process. */
function surroundings(): Surroundings {
  const own = packageFile();
  const limit = process.constrainedMemory?.() ?? 0;
  return {
    node: process.versions.node,
    oldestNode: /\d[\d.]*/.exec(own.engines?.node ?? "")?.[0] ?? "0",
    platform: process.platform,
    arch: process.arch,
    glibc: glibcVersion(),
    runtime: runtimePackage(),
    web: webVersion(),
    testedRuntime: own.dependencies?.["onnxruntime-node"] ?? own.optionalDependencies?.["onnxruntime-node"] ?? "latest",
    telemetry: process.env.ORT_DISABLE_TELEMETRY,
    // Without a limit the operating system reports a number beyond all memory, or 0.
    memoryLimit: limit > 0 && limit < 2 ** 50 ? limit : undefined,
  };
}

function glibcVersion(): string | undefined {
  const report: unknown = process.report?.getReport();
  const header = typeof report === "object" && report !== null && "header" in report ? report.header : undefined;
  const version =
    typeof header === "object" && header !== null && "glibcVersionRuntime" in header
      ? header.glibcVersionRuntime
      : undefined;
  return typeof version === "string" ? version : undefined;
}

function runtimePackage(): RuntimePackage | undefined {
  const require = createRequire(import.meta.url);
  try {
    const file = require.resolve("onnxruntime-node/package.json");
    const { version }: { version: string } = require(file);
    const folder = join(dirname(file), "bin", "napi-v6", process.platform, process.arch);
    return { version, hasBinary: existsSync(join(folder, "onnxruntime_binding.node")) };
  } catch {
    return undefined;
  }
}

function webVersion(): string | undefined {
  const require = createRequire(import.meta.url);
  try {
    // The package does not export its package.json, which is above the files that it exports.
    const { version }: { version: string } = require(
      join(dirname(require.resolve("onnxruntime-web/wasm")), "..", "package.json"),
    );
    return version;
  } catch {
    return undefined;
  }
}

/** Compiles a small program, runs it here and in a worker thread, and compares it with the float64 loop. */
async function trial(): Promise<Finding> {
  try {
    // Loaded here, so that the other findings appear even if the runtime is not installed.
    const { check } = await import("../check/check.js");
    const nn = await import("../nn/index.js");
    const { losses } = await import("../nn/losses.js");
    const { perSample } = await import("../program/per-sample.js");
    const { want } = await import("../wants/want.js");
    const model = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
    const data = { x: [0.1, -0.2, 0.3, 1, 2, -3], target: [0, 1] };
    const loss = losses.crossEntropy();
    const { passed } = await check(model, data, { loss });
    const program = await perSample(model, { loss, want: { norms: want.norms() }, workers: true });
    const { norms } = await program.run(data);
    await program.release();
    const ok = passed && norms.total.data.every((norm) => Number.isFinite(norm) && norm > 0);
    return ok
      ? { ok, text: "A small program runs, in this thread and in a worker, and agrees with a loop in float64." }
      : {
          ok,
          text: "A small program runs, but its gradients are wrong; please report it, with the output of this command.",
        };
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/\.$/, "") : String(error);
    return { ok: false, text: `A small program does not run: ${reason}; fix the problems above first.` };
  }
}

/** Prints the findings. Returns false if something is wrong. */
export async function doctor(options: DoctorOptions, io: Io): Promise<boolean> {
  const findings = [...diagnose(surroundings()), await trial()];
  const ok = findings.every((each) => each.ok);
  if (options.json) io.stdout.write(json({ ok, findings }));
  else for (const each of findings) io.stdout.write(`${each.ok ? "ok   " : "WRONG"} ${each.text}\n`);
  return ok;
}
