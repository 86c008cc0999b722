// How the page is built. Every *.html of this folder is a document of its own. For developing, `npm run dev` serves it
// with the API of a running daemon: NIGHTMILL_SOCKET names its Unix socket (<data>/run/nightmill.sock), or NIGHTMILL_URL
// its address.
import { readdirSync } from 'node:fs';
import { defineConfig, type ProxyOptions } from 'vite';

const socket = process.env['NIGHTMILL_SOCKET'];
const target = socket ? { socketPath: socket, host: 'localhost', port: 80 } : (process.env['NIGHTMILL_URL'] ?? 'http://127.0.0.1:8098');
const behind: ProxyOptions = {
  target: target as never,
  ws: true,
  // The daemon answers to its own names and takes no Origin on its Unix socket.
  configure: (proxy) => {
    const plain = (request: { removeHeader(name: string): void; setHeader(name: string, value: string): void }) => {
      request.removeHeader('origin');
      request.setHeader('host', 'localhost');
    };
    if (socket) proxy.on('proxyReq', plain).on('proxyReqWs', plain);
  },
};

export default defineConfig({
  build: {
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: 'manifest.json',
    rolldownOptions: { input: readdirSync(import.meta.dirname).filter((name) => name.endsWith('.html')) },
  },
  worker: { format: 'es' },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: { proxy: { '/api': behind, '/v1': behind, '/health': behind } },
});
