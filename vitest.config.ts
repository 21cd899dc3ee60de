import { existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { defineConfig, type Plugin } from "vitest/config";
import { SkippedReporter } from "./test/support/skipped-reporter.js";

// .ci/run names a file here to count from.
const json = process.env.PERGRAD_TEST_JSON;
const counted: ["json", { outputFile: string }][] = json ? [["json", { outputFile: json }]] : [];

// A folder with another version of the runtime: scripts/runtimes.mjs runs the tests on it.
const runtime = process.env.PERGRAD_TEST_RUNTIME;
const alias = runtime
  ? [{ find: /^onnxruntime-node(?=\/|$)/, replacement: join(runtime, "node_modules", "onnxruntime-node") }]
  : [];

// The runtime itself is loaded by require, which no alias reaches.
const requiredRuntime: Plugin = {
  name: "another version of the runtime",
  enforce: "pre",
  transform(code, id) {
    if (!runtime || !id.endsWith("/target/onnxruntime/node.ts")) return code;
    return code.replace("createRequire(import.meta.url)", `createRequire(${JSON.stringify(join(runtime, "x.js"))})`);
  },
};

// A thread starts from JavaScript, which lies beside its module only in the build: tests take that of the last build.
const threadsOfTheBuild: Plugin = {
  name: "threads of the build",
  enforce: "pre",
  transform(code, id) {
    return code.replace(/new URL\("(\.\/[\w-]+-thread)\.js", import\.meta\.url\)/g, (url, name: string) => {
      const source = resolve(dirname(id), `${name}.ts`);
      if (!existsSync(source)) return url;
      const built = join(import.meta.dirname, "dist", relative(import.meta.dirname, source)).replace(/\.ts$/, ".js");
      return `new URL(${JSON.stringify(pathToFileURL(built))})`;
    });
  },
};

/**
 * Tests make thousands of small sessions. A session's threads wait for work by spinning, which doubles the processor
 * time for making one; here they sleep instead. What they compute stays the same.
 */
const sleepingThreads: Plugin = {
  name: "threads that sleep",
  enforce: "pre",
  transform(code, id) {
    if (!id.endsWith("/target/onnxruntime/node.ts")) return code;
    const asleep = code.replace("extra: {", 'extra: { session: { intra_op: { allow_spinning: "0" } },');
    if (asleep === code) throw new Error(`vitest.config.ts finds no settings of a session in ${id}`);
    return asleep;
  },
};

export default defineConfig({
  plugins: [threadsOfTheBuild, requiredRuntime, sleepingThreads],
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
    // Megabytes for young objects: most die before so many are full, and are not copied again and again.
    execArgv: ["--min-semi-space-size=64", "--max-semi-space-size=64"],
    reporters: ["default", new SkippedReporter(), ...counted],
  },
});
