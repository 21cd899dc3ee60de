/** The small CNN of PyTorch's example of private training on MNIST. */
import { type Model, nn } from "../../src/index.js";

export function network(seed: number): Model {
  const module = nn.sequential(
    nn.conv2d(1, 16, 8, { stride: 2, padding: 3 }),
    nn.relu(),
    nn.maxPool2d(2, { stride: 1 }),
    nn.conv2d(16, 32, 4, { stride: 2 }),
    nn.relu(),
    nn.maxPool2d(2, { stride: 1 }),
    nn.flatten(),
    nn.linear(512, 32),
    nn.relu(),
    nn.linear(32, 10),
  );
  return nn.model(module, { input: { x: ["N", 1, 28, 28] }, seed });
}

/** The layers that have parameters, by the number at the start of the parameters' names. */
export const layerNames: Readonly<Record<string, string>> = {
  0: "convolution 1",
  3: "convolution 2",
  7: "linear 1",
  9: "linear 2 (output)",
};

/** "3.weight" belongs to layer "3". */
export function layerOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf("."));
}
