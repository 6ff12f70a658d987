// Notifications: a list to which events are added, and a form that publishes one.

import { type FormEvent, useState } from "react";
import { useEventStream } from "tidings/react";
import { hub, STREAM } from "./stream.js";

interface Notification {
  id: string;
  text: string;
}

const SHOWN_MAX = 20;

export function Notifications() {
  const { data: list, status, error } = useEventStream<Notification[], { text: string }>(
    STREAM,
    (list, { text }, { lastEventId }) => [{ id: lastEventId, text }, ...list].slice(0, SHOWN_MAX),
    [],
    { event: "notification", parse: JSON.parse },
  );
  const [refusal, setRefusal] = useState("");

  async function publish(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const text = new FormData(form).get("text");
    form.reset();
    try {
      await hub.publish("notifications", { text }, { event: "notification" });
      setRefusal("");
    } catch (error) {
      setRefusal((error as Error).message);
    }
  }

  return (
    <section>
      <h2>Notifications</h2>
      <p id="status" data-status={status}>
        {status}
        {error && `: ${error.message}`}
      </p>
      <form onSubmit={publish}>
        <input name="text" aria-label="Text" placeholder="Tell all tabs …" required />
        <button type="submit">Publish</button>
      </form>
      {refusal && <p role="alert">{refusal}</p>}
      <ul id="notifications">
        {list.map(({ id, text }) => (
          <li key={id}>{text}</li>
        ))}
      </ul>
    </section>
  );
}
