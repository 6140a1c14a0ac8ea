// Writes a client from the document of a running server.
module.exports = {
  fabrik: {
    input: process.env.FABRIK_SCHEMA,
    output: { target: './client/fabrik.ts', client: 'fetch', mode: 'single', baseUrl: process.env.FABRIK_URL },
  },
}
