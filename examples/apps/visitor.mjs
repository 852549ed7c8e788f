// A site in Node, behind a proxy that asks Throughline: it shows whom it was told of. Nothing to install.
//
//     node visitor.mjs 9001

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

// The visitor ID and where it came from. Both are missing or empty when there is none.
const visitor = ({ headers }) => [headers['x-throughline-visitor'] || null, headers['x-throughline-source'] || null];

const escape = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

const page = (request) => {
  const [who, source] = visitor(request);
  return `<!doctype html>
<meta charset="utf-8"><title>A site in Node</title>
<p>You are <b id="visitor">${escape(who ?? 'none')}</b>, by <b id="source">${escape(source ?? 'none')}</b>.
<p>You came from <b id="referrer">${escape(request.headers.referer ?? 'nowhere')}</b>.
`;
};

// What reached the application, as JSON: every header as it was written.
const seen = async (request) => {
  let received = 0;
  for await (const piece of request) received += piece.length;
  const { method, url, rawHeaders } = request;
  const headers = rawHeaders.flatMap((name, at) => (at % 2 ? [] : [[name, rawHeaders[at + 1]]]));
  return JSON.stringify({ method, query: url.split('?')[1] ?? '', received, headers });
};

const server = createServer(async (request, answer) => {
  const { pathname } = new URL(request.url, 'http://site');
  if (pathname === '/seen') {
    const body = await seen(request);
    answer.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
  } else if (pathname === '/private') {
    // A 401 of the site's own: no proxy may take it for one of Throughline's.
    answer.writeHead(401, { 'WWW-Authenticate': 'Basic realm="site"' }).end();
  } else {
    const own = { 'Set-Cookie': 'site=own; Path=/', 'Cache-Control': 'public, max-age=60' };
    answer.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', ...own }).end(page(request));
  }
});

// A WebSocket that sends back the octets it gets.
server.on('upgrade', (request, socket) => {
  const key = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
  socket.write([...lines, `Sec-WebSocket-Accept: ${key.digest('base64')}`, '', ''].join('\r\n'));
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});

server.listen(Number(process.argv[2]), '127.0.0.1');
