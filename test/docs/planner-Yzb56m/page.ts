import { losses, nn, perSample, want } from "../../../src/index.js";

const network = nn.sequential(
  nn.conv2d(3, 16, 3, { padding: 1 }),
  nn.relu(),
  nn.conv2d(16, 32, 3, { stride: 2 }),
  nn.relu(),
  nn.flatten(),
  nn.linear(32 * 7 * 7, 10),
);
const program = await perSample(network, {
  input: { x: ["N", 3, 16, 16] },
  loss: losses.crossEntropy(),
  want: { norms: want.norms(), clipped: want.clippedSum({ maxNorm: 1 }) },
  plannedBatchSize: 32,
});
const { rows, totals } = program.explain();
for (const { parameter, kind, norm, sum } of rows) console.log(`${parameter}: ${kind}, norm by ${norm}, sum by ${sum}`);
console.log(`${totals.program.operations} multiply-adds, ${totals.mean.operations} for the mean gradient alone`);

const forced = await perSample(network, {
  input: { x: ["N", 3, 16, 16] },
  loss: losses.crossEntropy(),
  want: { norms: want.norms() },
  strategy: { unfold: "slices", norm: "materialise", parameters: { "5.*": { norm: "closed form" } } },
});
