import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { SkippedReporter } from "./test/support/skipped-reporter.js";

// .ci/run names a file here to count from.
const json = process.env.PERGRAD_TEST_JSON;
const counted: ["json", { outputFile: string }][] = json ? [["json", { outputFile: json }]] : [];

// A folder with another version of the runtime: scripts/runtimes.mjs runs the tests on it.
const runtime = process.env.PERGRAD_TEST_RUNTIME;
const alias = runtime
  ? [{ find: /^onnxruntime-node(?=\/|$)/, replacement: join(runtime, "node_modules", "onnxruntime-node") }]
  : [];

export default defineConfig({
  resolve: { alias },
  test: {
    env: { ORT_DISABLE_TELEMETRY: "1" },
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/seed.ts"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: "forks",
    // No module holds state that a test changes: files share a process, so that the sources are loaded once for all.
    isolate: false,
    maxWorkers: 2,
    reporters: ["default", new SkippedReporter(), ...counted],
  },
});
