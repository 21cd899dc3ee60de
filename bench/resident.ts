/** This process's resident memory, in bytes. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const status = "/proc/self/status";

export const peakSource = existsSync(status) ? "VmHWM of /proc/self/status" : "maxRSS of getrusage";

/** Its peak. Where the system tells, not counting the process from which this one was started. */
export function peakResident(): number {
  const told = existsSync(status) ? /VmHWM:\s+(\d+) kB/.exec(readFileSync(status, "utf8"))?.[1] : undefined;
  return 1024 * (told === undefined ? process.resourceUsage().maxRSS : Number(told));
}

/** Lets the peak begin anew from what is resident now, on Linux; elsewhere false, and it is that of the process's life. */
export function resetPeak(): boolean {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return true;
  } catch {
    return false;
  }
}
