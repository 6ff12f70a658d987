import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const react18 = (name: string) =>
  fileURLToPath(new URL(`test/react-18/node_modules/${name}`, import.meta.url));

const library = fileURLToPath(
  new URL("node_modules/@testing-library/react/dist/@testing-library/react.esm.js", import.meta.url),
);

const page = { environment: "happy-dom", setupFiles: ["test/support/page.ts"] };

export default defineConfig({
  test: {
    // Only what is broken takes this long.
    testTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: { name: "node", environment: "node", include: ["test/*.test.ts"] },
      },
      {
        extends: true,
        test: { name: "react 19", ...page, include: ["test/react/*.test.tsx"] },
      },
      {
        extends: true,
        resolve: {
          alias: [
            { find: "@testing-library/react", replacement: library },
            { find: /^react$/, replacement: react18("react") },
            { find: /^react-dom$/, replacement: react18("react-dom") },
            { find: /^react\/(.*)$/, replacement: `${react18("react")}/$1` },
            { find: /^react-dom\/(.*)$/, replacement: `${react18("react-dom")}/$1` },
          ],
        },
        test: {
          name: "react 18",
          ...page,
          include: ["test/react/*.test.tsx"],
          // Or it would find its own React.
          server: { deps: { inline: [/@testing-library/] } },
        },
      },
    ],
  },
});
