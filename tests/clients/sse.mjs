// Reads an event stream with a third-party reader, and prints every event that the reader dispatches.
//
// Usage: sse.mjs <eventsource-parser|fetch-event-source|event-source-polyfill> <url> <headers as JSON>
// It ends after `stream.complete`.

import { fetchEventSource } from '@microsoft/fetch-event-source';
import polyfill from 'event-source-polyfill';
import { createParser } from 'eventsource-parser';

const [reader, url, given] = process.argv.slice(2);
const headers = { accept: 'text/event-stream', ...JSON.parse(given) };
const print = ({ event, data, id }) => {
  console.log(JSON.stringify({ event: event || 'message', data, id: id ?? '' }));
  if (event === 'stream.complete') process.exit(0);
};
setTimeout(() => process.exit(2), 120_000);

const readers = {
  async 'eventsource-parser'() {
    const parser = createParser({ onEvent: print, onError: error => { throw error; } });
    const { body } = await fetch(url, { headers });
    const decoder = new TextDecoder();
    for await (const chunk of body) parser.feed(decoder.decode(chunk, { stream: true }));
  },

  // This reader expects a browser's `window`.
  async 'fetch-event-source'() {
    globalThis.window = globalThis;
    await fetchEventSource(url, { headers, openWhenHidden: true, onmessage: print });
  },

  'event-source-polyfill'() {
    const source = new polyfill.EventSourcePolyfill(url, { headers });
    const types = ['message', 'x.token', 'stream.open', 'stream.gap', 'stream.complete', 'stream.source_failed'];
    for (const type of types) {
      source.addEventListener(type, ({ data, lastEventId }) => print({ event: type, data, id: lastEventId }));
    }
  },
};
await readers[reader]();
