// Server-Sent Events with better-sse on Express, a channel for each topic: what the benchmark
// compares with.

import { createChannel, createSession } from 'better-sse';
import express from 'express';
import { listen } from './listen.mjs';

const app = express();
/** The channel of each topic that has subscribers. */
const topics = new Map();

const settings = {
  // Nobody else sends anything to keep idle connections alive either.
  keepAlive: null,
  // Text is sent as it is, and not as JSON.
  serializer: (text) => text,
};

app.get('/topics/*topic', async (request, response) => {
  const topic = request.params.topic.join('/');
  const session = await createSession(request, response, settings);
  // Found after the wait: the last other subscriber may have gone meanwhile.
  channelOf(topic).register(session);
});

// Whatever the body says that it is, it is text.
app.post('/publish/*topic', express.text({ type: () => true }), (request, response) => {
  topics.get(request.params.topic.join('/'))?.broadcast(request.body);
  response.end();
});

function channelOf(topic) {
  let channel = topics.get(topic);
  if (!channel) {
    channel = createChannel();
    topics.set(topic, channel);
    channel.on('session-deregistered', () => {
      if (channel.sessionCount === 0) {
        topics.delete(topic);
      }
    });
  }
  return channel;
}

listen(app);
