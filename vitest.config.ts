import { defineConfig } from "vitest/config";
import { SkippedReporter } from "./test/support/skipped-reporter.js";

// .ci/run names a file here to count from.
const json = process.env.PERGRAD_TEST_JSON;
const counted: ["json", { outputFile: string }][] = json ? [["json", { outputFile: json }]] : [];

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/seed.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
    reporters: ["default", new SkippedReporter(), ...counted],
  },
});
