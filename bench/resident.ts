/** This process's resident memory, in bytes. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const status = "/proc/self/status";

export const peakSource = existsSync(status) ? "VmHWM of /proc/self/status" : "maxRSS of getrusage";

/** This process's peak memory. If the system reports it, the process that started this one is not counted. */
export function peakResident(): number {
  const told = existsSync(status) ? /VmHWM:\s+(\d+) kB/.exec(readFileSync(status, "utf8"))?.[1] : undefined;
  return 1024 * (told === undefined ? process.resourceUsage().maxRSS : Number(told));
}

/** On Linux, resets the peak to what is resident now; elsewhere returns false, and the peak is that of the process's life. */
export function resetPeak(): boolean {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
    return true;
  } catch {
    return false;
  }
}
