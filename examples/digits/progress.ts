/** Progress on stderr: a bar on a terminal, and everywhere one plain line when a stage is done. */
import { Presets, SingleBar } from "cli-progress";

export interface Stage {
  advance(by?: number): void;
  /** Ends the stage with a line that states its result. */
  done(result: string): void;
}

export function stage(title: string, total: number): Stage {
  const start = performance.now();
  const line = (result: string) => {
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    process.stderr.write(`${title.padEnd(26)} ${seconds.padStart(5)} s  ${result}\n`);
  };
  if (!process.stderr.isTTY) return { advance: () => {}, done: line };
  const format = `${title.padEnd(26)} {bar} {percentage} %`;
  const bar = new SingleBar({ format, clearOnComplete: true, hideCursor: true, barsize: 30 }, Presets.shades_classic);
  bar.start(total, 0);
  return {
    advance: (by = 1) => bar.increment(by),
    done: (result) => {
      bar.stop();
      line(result);
    },
  };
}
