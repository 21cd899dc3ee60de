import type { Reporter, TestModule } from "vitest/node";

/** Ends the run with every skipped test and why: the default reporter shows a count only. */
export class SkippedReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = modules.flatMap((module) =>
      [...module.children.allTests("skipped")].map((test) => {
        const result = test.result();
        const reason = result.state === "skipped" && result.note ? `: ${result.note}` : "";
        return `  ↓ ${module.relativeModuleId} > ${test.fullName}${reason}`;
      }),
    );
    if (lines.length > 0) console.log(`\nSkipped:\n${lines.join("\n")}\n`);
  }
}
