import { readFileSync } from "node:fs";
import { defineConfig } from "vitepress";

const { menu } = JSON.parse(readFileSync(new URL("../pages.json", import.meta.url), "utf8"));
const api = JSON.parse(readFileSync(new URL("../.content/api/typedoc-sidebar.json", import.meta.url), "utf8"));
const guides = menu.map(({ text, items }) => ({
  text,
  items: items.map(([title, page]) => ({ text: title, link: page === "index" ? "/" : `/${page}` })),
}));

export default defineConfig({
  title: "pergrad",
  description: "Per-sample gradients for any ONNX model, from TypeScript",
  lang: "en",
  srcDir: ".content",
  outDir: "dist",
  cacheDir: ".cache",
  // Long names in tables, such as that of operators, are broken to fit the page; words are not.
  head: [
    [
      "style",
      {},
      ".vp-doc :is(td:first-child, td code) { overflow-wrap: anywhere; } .vp-doc td:is(:first-child, :has(code)) { min-width: 8rem; }",
    ],
  ],
  // Angle brackets in our Markdown are placeholders, never tags.
  markdown: { html: false },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Tutorial", link: "/tutorial" },
      { text: "API", link: "/api/" },
    ],
    sidebar: { "/api/": [{ text: "Guides", link: "/" }, ...api], "/": guides },
  },
});
