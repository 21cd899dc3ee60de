import { readFileSync } from "node:fs";
import { defineConfig } from "vitepress";

const { menu } = JSON.parse(readFileSync(new URL("../pages.json", import.meta.url), "utf8"));
const api = JSON.parse(readFileSync(new URL("../.content/api/typedoc-sidebar.json", import.meta.url), "utf8"));
const guides = menu.map(({ text, items }) => ({
  text,
  items: items.map(([title, page]) => ({ text: title, link: page === "index" ? "/" : `/${page}` })),
}));

/** The anchors that GitHub gives to headings, which links in our Markdown name. */
const slugOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

export default defineConfig({
  title: "pergrad",
  description: "Per-sample gradients for any ONNX model, from TypeScript",
  lang: "en",
  srcDir: ".content",
  outDir: "dist",
  cacheDir: ".cache",
  // Long names in tables, such as that of operators, are broken to fit the page; words are not.
  head: [
    ["link", { rel: "icon", href: "data:," }],
    [
      "style",
      {},
      ".vp-doc :is(td:first-child, td code) { overflow-wrap: anywhere; } .vp-doc td:is(:first-child, :has(code)) { min-width: 8rem; }",
    ],
  ],
  // Angle brackets in our Markdown are placeholders, never tags.
  markdown: { html: false, anchor: { slugify: slugOf } },
  themeConfig: {
    // Guides come before pages of the API, which are many and short. The page gets this function as text.
    search: {
      provider: "local",
      options: {
        miniSearch: { searchOptions: { boostDocument: (id) => (String(id).startsWith("/api/") ? 0.3 : 1) } },
      },
    },
    outline: [2, 3],
    nav: [
      { text: "Tutorial", link: "/tutorial" },
      { text: "API", link: "/api/" },
    ],
    sidebar: { "/api/": [{ text: "Guides", link: "/" }, ...api], "/": guides },
  },
});
