import { defineConfig, type Plugin } from "vite";

/** KaTeX ships every font three times; browsers that run this page all read woff2. */
function woff2Only(): Plugin {
  return {
    name: "woff2-only",
    enforce: "pre",
    transform(code, id) {
      if (!/katex.*\.css/.test(id)) return null;
      return { code: code.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\("[^"]*"\)/g, ""), map: null };
    },
  };
}

/**
 * Three files of fixed names, the fonts inside the style sheet: `pellucid explore` serves them as they are, and a
 * hand-out is the page with the other two, and its data, put in (explain/explorer/handout.py).
 */
export default defineConfig({
  base: "./",
  plugins: [woff2Only()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: { proxy: { "/api": "http://localhost:8000" } },
  build: {
    outDir: "../src/pellucid/explain/explorer/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    cssCodeSplit: false,
    modulePreload: false,
    rolldownOptions: {
      output: { entryFileNames: "explorer.js", codeSplitting: false, assetFileNames: "explorer[extname]" },
    },
  },
});
