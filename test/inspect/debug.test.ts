import { afterEach, describe, expect, test, vi } from "vitest";
import { losses, nn, perSample, want } from "../../src/index.js";
import { debugObserver, debugOf, debugWords } from "../../src/inspect/debug.js";

const options = { loss: losses.mse(), want: { norms: want.norms() } };
const data = {
  x: { dtype: "float32", dims: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
  target: { dtype: "float32", dims: [2, 2], data: Float32Array.of(0, 1, 0, 1) },
} as const;

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

describe("the words of PERGRAD_DEBUG", () => {
  test("are separated by commas", () => {
    expect([...debugOf("time, plan,,time")]).toEqual(["plan", "time"]);
    expect([...debugOf(debugWords.join())]).toEqual([...debugWords]);
  });

  test.each([undefined, "", " , "])("%j asks for nothing", (text) => {
    expect(debugObserver(debugOf(text), () => {})).toBeUndefined();
  });

  test.each(["1", "plans", "plan,all"])("%s is refused, naming the words there are", (text) => {
    expect(() => debugOf(text)).toThrow(/plan, rewrite, graph, time, memory, stack\.$/);
  });
});

async function printed(words: string): Promise<string> {
  let text = "";
  const observe = debugObserver(debugOf(words), (more) => {
    text += more;
  });
  const program = await perSample(nn.linear(3, 2), observe ? { ...options, observe } : options);
  await program.run(data);
  await program.release();
  return text;
}

test.each([
  ["plan", /^\[pergrad\] plan\nparameter +shape/],
  ["rewrite", /^\[pergrad\] rewrites\n.*rule +times/s],
  ["graph", /^\[pergrad\] graph: traced\ninputs\n.*\[pergrad\] graph: scheduled\n/s],
  ["time", /^\[pergrad\] time: traced [\d.]+ ms\n.*time: loaded .*\[pergrad\] time by node\nnode /s],
  ["memory", /^\[pergrad\] memory by shape\nvalue .*\[pergrad\] memory by node\nnode .*At most .* MB/s],
] as const)("%s prints its own and nothing else", async (word, pattern) => {
  const text = await printed(word);
  expect(text).toMatch(pattern);
  const headings = [...text.matchAll(/^\[pergrad\] (\w+)/gm)].map(([, heading]) => heading);
  expect(new Set(headings.map((heading) => heading?.replace(/s$/, "")))).toEqual(new Set([word]));
});

test("a library call reads the environment, and what the caller observes goes first", async () => {
  vi.stubEnv("PERGRAD_DEBUG", "plan");
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  await (await perSample(nn.linear(3, 2), options)).release();
  expect(write.mock.calls.join("")).toContain("[pergrad] plan\n");
  write.mockClear();
  await (await perSample(nn.linear(3, 2), { ...options, observe: {} })).release();
  expect(write).not.toHaveBeenCalled();
  vi.stubEnv("PERGRAD_DEBUG", "everything");
  await expect((async () => perSample(nn.linear(3, 2), options))()).rejects.toThrow(/"everything"/);
});
