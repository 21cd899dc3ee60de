// Usage: ci-summary.mjs VITEST_JSON EXIT_CODE_OF_THE_TESTS FAILED_CHECKS BROWSER_LOG. Prints the closing line of .ci/run.
// A line of the log for each test in the browser begins with "passed: ", "failed: " or "skipped: ".
import { readFileSync } from "node:fs";

const [path, exitCode, checks, log] = process.argv.slice(2);

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

const lines = readFileSync(log, "utf8").split("\n");
const inBrowser = (outcome) => lines.filter((line) => line.startsWith(`${outcome}: `)).length;
const { passed, failed, skipped } = counts();
// The runner may fail with no failed test (an unhandled rejection, a crash, a failed set-up); no test run is a failure too.
const runner = failed === 0 && (Number(exitCode) !== 0 || passed === 0) ? 1 : 0;
const allFailed = failed + runner + Number(checks) + inBrowser("failed");
console.log(`${passed + inBrowser("passed")} passed, ${allFailed} failed, ${skipped + inBrowser("skipped")} skipped`);
process.exitCode = allFailed === 0 ? 0 : 1;
