// Server-Sent Events with Express as in a first tutorial, and a set of responses for each topic to
// broadcast to: what the benchmark compares with.

import express from 'express';
import { listen } from './listen.mjs';

const app = express();
/** The open responses of each topic. */
const topics = new Map();

app.get('/topics/*topic', (request, response) => {
  const topic = request.params.topic.join('/');
  response.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache',
    Connection: 'keep-alive',
  });
  response.flushHeaders();
  const responses = topics.get(topic) ?? new Set();
  topics.set(topic, responses.add(response));
  response.on('close', () => {
    responses.delete(response);
    if (responses.size === 0) {
      topics.delete(topic);
    }
  });
});

// Whatever the body says that it is, it is text.
app.post('/publish/*topic', express.text({ type: () => true }), (request, response) => {
  const event = `data: ${request.body}\n\n`;
  for (const subscriber of topics.get(request.params.topic.join('/')) ?? []) {
    subscriber.write(event);
  }
  response.end();
});

listen(app);
