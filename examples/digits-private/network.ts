/** The network of the other digits example, with tanh, which suits private training better than relu (Papernot et al. 2021). */
import { type Model, nn } from "../../src/index.js";

export function network(seed: number): Model {
  const module = nn.sequential(
    nn.conv2d(1, 16, 8, { stride: 2, padding: 3 }),
    nn.tanh(),
    nn.maxPool2d(2, { stride: 1 }),
    nn.conv2d(16, 32, 4, { stride: 2 }),
    nn.tanh(),
    nn.maxPool2d(2, { stride: 1 }),
    nn.flatten(),
    nn.linear(512, 32),
    nn.tanh(),
    nn.linear(32, 10),
  );
  return nn.model(module, { input: { x: ["N", 1, 28, 28] }, seed });
}
