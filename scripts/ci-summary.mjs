// Usage: ci-summary.mjs VITEST_JSON EXIT_CODE_OF_THE_TESTS FAILED_CHECKS LOG... Prints the closing line of .ci/run.
// A line of the logs for each test in the browser and in Python begins with "passed: ", "failed: " or "skipped: ".
import { readFileSync } from "node:fs";

const [path, exitCode, checks, ...logs] = process.argv.slice(2);

function counts() {
  try {
    const report = JSON.parse(readFileSync(path, "utf8"));
    // A file that fails to load has no failed test of its own.
    const unloaded = report.testResults.filter(
      (file) => file.status === "failed" && file.assertionResults.length === 0,
    );
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests + unloaded.length,
      skipped: report.numPendingTests + report.numTodoTests,
    };
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
}

const lines = logs.flatMap((log) => readFileSync(log, "utf8").split("\n"));
const elsewhere = (outcome) => lines.filter((line) => line.startsWith(`${outcome}: `)).length;
const { passed, failed, skipped } = counts();
// The runner may fail without a failed test (an unhandled rejection, a crash, a failed set-up); no test run is a failure too.
const runner = failed === 0 && (Number(exitCode) !== 0 || passed === 0) ? 1 : 0;
const allFailed = failed + runner + Number(checks) + elsewhere("failed");
console.log(`${passed + elsewhere("passed")} passed, ${allFailed} failed, ${skipped + elsewhere("skipped")} skipped`);
process.exitCode = allFailed === 0 ? 0 : 1;
