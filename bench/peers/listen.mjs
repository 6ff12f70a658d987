// What both programs need to be measured: a free port, which they tell, and connections that may
// be quiet.

/** Listens, and says where. */
export function listen(app) {
  const server = app.listen(0, '127.0.0.1', (error) => {
    if (error) {
      throw error;
    }
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
  });
  // The publisher keeps its connection, however long it waits for a crowd to gather.
  server.keepAliveTimeout = 0;
  server.headersTimeout = 0;
  server.requestTimeout = 0;
}
