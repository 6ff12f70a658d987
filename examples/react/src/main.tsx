// The page: three things that a server tells of, over one connection of all tabs.

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { TidingsProvider } from "tidings/react";
import { createSharedEventSource } from "tidings/shared";
import { Dashboard } from "./Dashboard.js";
import { Notifications } from "./Notifications.js";
import { Task } from "./Task.js";

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <TidingsProvider create={createSharedEventSource}>
      <main>
        <h1>Tidings and React</h1>
        <Notifications />
        <Dashboard />
        <Task />
      </main>
    </TidingsProvider>
  </StrictMode>,
);
