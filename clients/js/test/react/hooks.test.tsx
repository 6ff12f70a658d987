// The hooks in a page, with React 18 and 19: see vitest.config.ts.

import { act, render, screen } from "@testing-library/react";
import { type ReactNode, StrictMode, useState, version } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TidingsProvider, useEventSource, useEventStream } from "../../src/react/index.js";
import { FakeStreams } from "./streams.js";

let streams: FakeStreams;

beforeEach(() => {
  vi.useFakeTimers();
  streams = new FakeStreams();
});

afterEach(() => {
  vi.useRealTimers();
});

describe(`React ${version}`, () => {
  test("data, last event, status and error of a stream", async () => {
    function Alert() {
      const { data, lastEvent, status, error } = useEventSource<{ text: string }>("/a", {
        event: "alert",
        parse: JSON.parse,
      });
      return <p>{`${status} ${data?.text} ${lastEvent?.lastEventId} ${error?.message}`}</p>;
    }
    await show(<Alert />);
    expect(text()).toBe("connecting undefined undefined undefined");
    await streams.send("/a", "open");
    expect(text()).toBe("open undefined undefined undefined");
    await streams.send("/a", 'id: 7\nevent: alert\ndata: {"text": "hi"}\n\n');
    expect(text()).toBe("open hi 7 undefined");
    await streams.send("/a", "data: not asked for\n\n");
    expect(text()).toBe("open hi 7 undefined");
    await streams.send("/a", "event: alert\ndata: {\n\n");
    expect(text()).toMatch(/^open hi 7 .*JSON/);
    await streams.send("/a", "end");
    expect(text()).toBe("connecting hi 7 The stream ended.");
  });

  test("a reducer sees all events, in order", async () => {
    function Sum() {
      const { data } = useEventStream<number[], number>("/a", (all, one) => [...all, one], [], {
        event: ["message", "extra"],
        parse: Number,
      });
      return <p>{data.join()}</p>;
    }
    await show(<Sum />);
    await streams.send("/a", "open", "data: 1\n\nevent: extra\ndata: 2\n\ndata: 3\n\n");
    expect(text()).toBe("1,2,3");
  });

  test("one connection, however many hooks", async () => {
    await show(Array.from({ length: 100 }, (_, at) => <Last key={at} url="/a" />));
    expect(streams.opened).toEqual(["/a"]);
    await streams.send("/a", "open", "data: x\n\n");
    expect(text()).toBe("x".repeat(100));
  });

  test("open as long as somebody listens, and opened anew for who comes later", async () => {
    const { rerender, unmount } = await show(<Both first second />);
    await act(() => rerender(inStreams(<Both second />)));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(streams.open).toEqual(["/a"]);
    await act(() => unmount());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(streams.open).toEqual([]);
    await show(<Last url="/a" />);
    expect(streams.opened).toEqual(["/a", "/a"]);
  });

  test("StrictMode opens one connection", async () => {
    await show(
      <StrictMode>
        <Last url="/a" />
      </StrictMode>,
    );
    await vi.advanceTimersByTimeAsync(1_000);
    expect(streams.opened).toEqual(["/a"]);
    expect(streams.open).toEqual(["/a"]);
    await streams.send("/a", "open", "data: x\n\n");
    expect(text()).toBe("x");
  });

  test("another URL begins with nothing of the one before", async () => {
    let setUrl: (url: string | null) => void = () => {};
    function Choice() {
      const [url, set] = useState<string | null>("/a");
      setUrl = set;
      return <Last url={url} />;
    }
    await show(<Choice />);
    await streams.send("/a", "open", "data: x\n\n");
    await act(() => setUrl("/b"));
    expect(text()).toBe("");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(streams.open).toEqual(["/b"]);
    await act(() => setUrl(null));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(streams.open).toEqual([]);
  });

  test("batch renders once per frame, and no event is left out", async () => {
    let renders = 0;
    function Sum({ batch }: { batch: boolean }) {
      renders += 1;
      const { data } = useEventStream("/a", (sum: number) => sum + 1, 0, { batch });
      return <p>{data}</p>;
    }
    await show(<Sum batch />);
    await streams.send("/a", "open");
    await vi.advanceTimersByTimeAsync(100);
    renders = 0;
    await streams.send("/a", "data: x\n\n".repeat(1_000));
    await act(() => vi.advanceTimersByTimeAsync(100));
    expect(text()).toBe("1000");
    expect(renders).toBe(1);
  });

  test("the latest reducer is used", async () => {
    let add: (step: number) => void = () => {};
    function Steps() {
      const [step, setStep] = useState(1);
      add = setStep;
      const { data } = useEventStream("/a", (sum: number) => sum + step, 0);
      return <p>{data}</p>;
    }
    await show(<Steps />);
    await streams.send("/a", "open", "data: x\n\n");
    await act(() => add(10));
    await streams.send("/a", "data: x\n\n");
    expect(text()).toBe("11");
    expect(streams.opened).toEqual(["/a"]);
  });

  test("a server renders what there is at first, and opens nothing", () => {
    const html = renderToString(inStreams(<Last url="/a" initial="none yet" />));
    expect(html).toContain("none yet");
    expect(streams.opened).toEqual([]);
  });

  test("a provider says how: options for all, a source of one's own", async () => {
    await show(<Last url="/a" />, { headers: { "X-A": "1" } });
    expect(streams.headers[0]?.get("X-A")).toBe("1");
  });

  test("10,000 mounts leave nothing", async () => {
    for (let at = 0; at < 10_000; at += 100) {
      const { unmount } = await show(
        Array.from({ length: 100 }, (_, of) => <Last key={of} url={`/${at + of}`} />),
      );
      await act(() => unmount());
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(streams.opened).toHaveLength(10_000);
    expect(streams.open).toEqual([]);
    expect(streams.listeners()).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  function Last({ url, initial }: { url: string | null; initial?: string }) {
    return <p>{useEventSource<string>(url, { initial }).data}</p>;
  }

  function Both({ first, second }: { first?: boolean; second?: boolean }) {
    return (
      <>
        {first && <Last key="first" url="/a" />}
        {second && <Last key="second" url="/a" />}
      </>
    );
  }
});

function inStreams(children: ReactNode, options?: object) {
  return (
    <TidingsProvider options={{ ...options, fetch: streams.fetch }}>{children}</TidingsProvider>
  );
}

async function show(children: ReactNode, options?: object) {
  const shown = render(inStreams(children, options));
  await act(() => vi.advanceTimersByTimeAsync(0));
  return shown;
}

function text(): string {
  return screen
    .queryAllByText(() => true, { selector: "p" })
    .map((element) => element.textContent)
    .join("");
}
