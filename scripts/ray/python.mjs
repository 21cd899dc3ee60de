// A Python with Ray and the worker's packages, at pinned versions: one that is named or found, or made on request.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The versions that are tested: 0.8 GB in all. */
const pinned = ["ray[default]==2.60.0", "onnxruntime==1.30.0", "pyarrow==26.0.1", "numpy==2.4.6", "safetensors==0.8.0"];

const made = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "pergrad", "ray-2.60.0");

const needed = "import ray, onnxruntime, pyarrow, safetensors; print(ray.__version__, onnxruntime.__version__)";

function run(command, args) {
  return spawnSync(command, args, { encoding: "utf8", env: { ...process.env, RAY_USAGE_STATS_ENABLED: "0" } });
}

/** @param install make the environment where it is missing @returns {{ python?: string, versions?: string, reason?: string }} */
export function pythonWithRay(install) {
  const own = join(made, "bin", "python");
  if (install && !existsSync(own)) {
    const steps = [
      ["python3", ["-m", "venv", made]],
      [own, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...pinned]],
    ];
    for (const [command, args] of steps) {
      const { status, stderr } = run(command, args);
      if (status !== 0) return { reason: `${command} ${args[1]} failed: ${stderr?.trim().split("\n").at(-1)}` };
    }
  }
  const named = process.env.PERGRAD_RAY_PYTHON;
  const found = named === undefined ? [own, "python3"] : [named];
  for (const python of found) {
    const { status, stdout } = run(python, ["-c", needed]);
    if (status === 0) return { python, versions: stdout.trim() };
  }
  const advice = "npm run test:ray -- --install makes an environment of 0.8 GB, and PERGRAD_RAY_PYTHON names one";
  return { reason: `${found.join(" and ")} cannot import ray, onnxruntime, pyarrow and safetensors; ${advice}` };
}
