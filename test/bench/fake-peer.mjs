// A peer for tests, of the mode that its argument says.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const mode = process.argv[2];
const answer = (content) => process.stdout.write(`${JSON.stringify(content)}\n`);

if (mode === "dead") process.exit(3);
answer({ peer: "fake", versions: { fake: "1.2.3" } });
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.do === "prepare") {
    const header = readFileSync(request.file).toString("latin1", 8);
    const complete = ["x", "target", ...request.order.map((name) => `parameters/${name}`)].every((name) =>
      header.includes(`"${name}"`),
    );
    if (complete) answer({ alternatives: { "fake, clipped": "clipped", "fake gradients": "materialised" } });
    else answer({ error: "a tensor is missing" });
  } else if (request.do === "make" && mode === "refuses") answer({ error: "NotImplementedError: no such layer" });
  else if (request.do === "make" && mode === "silent") continue;
  else if (request.do === "make") answer({});
  else if (request.do === "run" && mode === "crashes") process.exit(9);
  else if (request.do === "run") answer({ milliseconds: request.times * 2, cpu: request.times * 3 });
  else if (request.do === "check") {
    // Copies what the test says are the right results, or wrong ones.
    writeFileSync(request.file, readFileSync(process.argv[3]));
    answer({});
  }
}
