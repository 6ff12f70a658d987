// The hub is reached through the page's own server, so its pages may publish; see README.md.

import { defineConfig } from "vite";

// With the page's own name in `Host`, by which the hub knows that its `Origin` is not another one.
const hub = { target: process.env.HUB ?? "http://localhost:3000", changeOrigin: false };
const proxy = { "/topics": hub, "/events": hub, "/tickets": hub };

export default defineConfig({
  // The package is linked from this repository and has a React of its own for its tests.
  resolve: { dedupe: ["react", "react-dom"] },
  // The worker that tabs share is found beside the package's modules.
  optimizeDeps: { exclude: ["tidings"] },
  worker: { format: "es" },
  server: { proxy },
  preview: { proxy },
});
