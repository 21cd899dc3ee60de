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
  // Tables of long names, such as that of operators, fit the page.
  head: [["style", {}, ".vp-doc :is(th, td) { min-width: 4.5rem; overflow-wrap: anywhere; }"]],
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
