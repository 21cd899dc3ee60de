// Small models and their data, the same in Node and on a page.
const samples = 3;

const floats = (dims, step) => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, k) => Math.sin(step * (k + 1))),
});
const whole = (dims, below) => ({
  dtype: "int64",
  dims,
  data: BigInt64Array.from({ length: dims.reduce((a, b) => a * b) }, (_, k) => BigInt((7 * k + 3) % below)),
});

export function models({ nn }) {
  const words = nn.embedding(11, 6);
  const encoder = nn.transformerEncoderLayer(6, 2, { feedForward: 8, activation: "gelu", causal: true });
  const text = { input: { x: { shape: ["N", 4], dtype: "int64" } }, seed: 1 };
  return {
    mlp: nn.model(nn.sequential(nn.linear(5, 7), nn.relu(), nn.linear(7, 4)), { seed: 1 }),
    cnn: nn.model(
      nn.sequential(nn.conv2d(1, 3, 3, { padding: 1 }), nn.relu(), nn.maxPool2d(2), nn.flatten(), nn.linear(27, 4)),
      { input: { x: ["N", 1, 6, 6] }, seed: 1 },
    ),
    words: nn.model(nn.sequential(words, encoder, nn.layerNorm(6), nn.tied(words)), text),
    lstm: nn.model(nn.sequential(nn.embedding(11, 5), nn.lstm(5, 6).last, nn.linear(6, 4)), text),
  };
}

export function dataOf(id) {
  const labels = whole([samples], 4);
  if (id === "mlp") return { x: floats([samples, 5], 1.3), target: labels };
  if (id === "cnn") return { x: floats([samples, 1, 6, 6], 0.7), target: labels };
  const x = whole([samples, 4], 11);
  return { x, target: id === "words" ? whole([samples, 4], 11) : labels };
}

export const wantsOf = ({ want }) => ({ norms: want.norms(), gradients: want.gradients() });
