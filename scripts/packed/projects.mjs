// The kinds of projects in which pergrad is used: what each installs, its files, and how it prints the norms of six samples.

const body = (dataModel = '"model.onnx"') => `
  const x = Float32Array.from({ length: 6 * 3 }, (_, k) => Math.sin(1 + k));
  const target = Array.from({ length: 6 }, (_, n) => n % 2);
  const model = await loadModel(${dataModel});
  const program = await perSample(model, { loss: losses.crossEntropy(), want: { norms: want.norms() }, ...options });
  const { norms } = await program.run({ x, target });
  await program.release();
  return Array.from(norms.total.data);
`;
const names = "{ loadModel, losses, perSample, want }";
const asModule = `import ${names} from "pergrad";
export async function norms(options = {}) {${body()}}
`;
const asTypeScript = `import { loadModel, losses, type Norms, perSample, want } from "pergrad";
export async function norms(options: { workers?: boolean } = {}): Promise<number[]> {${body()}}
export const total = ({ total }: Norms): number => total.data[0] ?? Number.NaN;
`;
const print = `console.log(JSON.stringify(await norms()), JSON.stringify(await norms({ workers: true })));\n`;

const nextPage = `import ${names} from "pergrad";
export const dynamic = "force-dynamic";
export async function GET() {
  const options = {};
  const once = async (options: object) => {${body()}};
  return Response.json([await once(options), await once({ workers: true })]);
}
`;

/** The same in a browser: computed by the page itself, and compiled and run by a Web Worker. */
const page = {
  "package.json": '{ "type": "module" }',
  "index.html": '<!doctype html><script type="module" src="./main.js"></script>',
  "norms.js": asModule,
  "main.js":
    'import { norms } from "./norms.js";\nglobalThis.norms = async () => [await norms(), await norms({ workers: true })];\n',
};
const runtime = "onnxruntime-web@1.30.0";

/**
 * `page`: the folder that a step made, with an index.html, which Chromium opens.
 * @typedef {{ install?: string[], files: Record<string, string>, steps: string[][], serve?: { command: string[], path: string }, page?: string }} Project
 */

/** @type {Record<string, Project>} */
export const projects = {
  esm: {
    files: {
      "package.json": '{ "type": "module" }',
      "norms.js": asModule,
      "main.js": `import { norms } from "./norms.js";\n${print}`,
    },
    steps: [["node", "main.js"]],
  },
  commonjs: {
    files: {
      "package.json": "{}",
      "main.js": `const ${names} = require("pergrad");
const norms = async (options = {}) => {${body()}};
(async () => { ${print} })();
`,
    },
    steps: [["node", "main.js"]],
  },
  typescript: {
    install: ["typescript@5", "@types/node@20"],
    files: {
      "package.json": '{ "type": "module" }',
      "tsconfig.json":
        '{ "compilerOptions": { "module": "NodeNext", "target": "ES2022", "strict": true, "outDir": "out" } }',
      "norms.ts": asTypeScript,
      "main.ts": `import { norms } from "./norms.js";\n${print}`,
    },
    steps: [
      ["npx", "--no-install", "tsc"],
      ["node", "out/main.js"],
    ],
  },
  esbuild: {
    install: ["esbuild@0.28"],
    files: {
      "package.json": '{ "type": "module" }',
      "norms.js": asModule,
      "main.js": `import { norms } from "./norms.js";\n${print}`,
    },
    steps: [
      [
        "npx",
        "--no-install",
        "esbuild",
        "main.js",
        "--bundle",
        "--platform=node",
        "--format=esm",
        "--packages=external",
        "--outfile=out.js",
      ],
      ["node", "out.js"],
    ],
  },
  vite: {
    install: ["vite@8"],
    files: {
      "package.json": '{ "type": "module" }',
      "norms.js": asModule,
      "main.js": `import { norms } from "./norms.js";\n${print}`,
    },
    steps: [
      ["npx", "--no-install", "vite", "build", "--ssr", "main.js"],
      ["node", "dist/main.js"],
    ],
  },
  "vite-page": {
    install: ["vite@8", runtime],
    files: page,
    steps: [["npx", "--no-install", "vite", "build"]],
    page: "dist",
  },
  "webpack-page": {
    install: ["webpack@5", "webpack-cli@6", runtime],
    files: {
      ...page,
      "out/index.html": page["index.html"],
      "webpack.config.cjs":
        'module.exports = { mode: "production", entry: "./main.js", output: { path: require("node:path").join(__dirname, "out"), filename: "main.js" } };\n',
    },
    steps: [["npx", "--no-install", "webpack"]],
    page: "out",
  },
  "esbuild-page": {
    install: ["esbuild@0.28", runtime],
    files: { ...page, "out/index.html": page["index.html"] },
    steps: [
      [
        "npx",
        "--no-install",
        "esbuild",
        "main.js",
        "worker-thread=node_modules/pergrad/dist/browser/worker-thread.js",
        "--bundle",
        "--splitting",
        "--format=esm",
        "--outdir=out",
      ],
      ["cp", "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", "out"],
    ],
    page: "out",
  },
  next: {
    install: ["next@16", "react@19", "react-dom@19", "typescript@5", "@types/node@20", "@types/react@19"],
    files: {
      "package.json": "{}",
      "next.config.mjs": 'export default { serverExternalPackages: ["pergrad"] };\n',
      "app/layout.tsx":
        'export default function Layout({ children }: { children: React.ReactNode }) {\n  return <html lang="en"><body>{children}</body></html>;\n}\n',
      "app/norms/route.ts": nextPage,
    },
    steps: [["npx", "--no-install", "next", "build"]],
    serve: { command: ["npx", "--no-install", "next", "start"], path: "/norms" },
  },
};
