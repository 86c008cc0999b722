// Draws the icons that have to be PNG from the shapes of public/icon.svg: for home screens that take no SVG. Into dist/.
import { readFileSync, writeFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';

const svg = readFileSync(new URL('../public/icon.svg', import.meta.url), 'utf8');
const number = (name, text) => Number(new RegExp(`\\b${name}="([\\d.]+)"`).exec(text)[1]);
const colour = (text) => /fill="#([0-9a-f]{6})"/.exec(text)[1].match(/../g).map((two) => parseInt(two, 16));
const [rect, path, circle] = ['rect', 'path', 'circle'].map((name) => new RegExp(`<${name}[^>]*>`).exec(svg)[0]);
const corners = [...path.matchAll(/[ML]?\s*(-?[\d.]+)[ ,]+(-?[\d.]+)/g)].map((found) => [Number(found[1]), Number(found[2])]);
const box = { side: number('width', rect), radius: number('rx', rect), colour: colour(rect) };
const sails = { corners, colour: colour(path) };
const hub = { x: number('cx', circle), y: number('cy', circle), r: number('r', circle), colour: colour(circle) };

const inSails = (x, y) => {
  let inside = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [[ax, ay], [bx, by]] = [corners[i], corners[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
};
const inBox = (x, y) => {
  const [dx, dy] = [x, y].map((at) => Math.max(box.radius - at, at - (box.side - box.radius), 0));
  return x >= 0 && y >= 0 && x <= box.side && y <= box.side && dx * dx + dy * dy <= box.radius * box.radius;
};
// full: the square has no corners cut and the drawing is smaller, for systems that cut a shape of their own out of it.
function at(x, y, full) {
  const [u, v] = full ? [16 + (x - 16) / 0.72, 16 + (y - 16) / 0.72] : [x, y];
  if ((u - hub.x) ** 2 + (v - hub.y) ** 2 <= hub.r * hub.r) return hub.colour;
  if (inSails(u, v)) return sails.colour;
  return full || inBox(x, y) ? box.colour : null;
}

const samples = 3; // in each direction, for each pixel
function draw(side, full) {
  const rows = Buffer.alloc(side * (1 + side * 4));
  for (let row = 0; row < side; row++)
    for (let column = 0; column < side; column++) {
      const sum = [0, 0, 0, 0];
      for (let i = 0; i < samples * samples; i++) {
        const x = ((column + ((i % samples) + 0.5) / samples) / side) * box.side;
        const y = ((row + (Math.floor(i / samples) + 0.5) / samples) / side) * box.side;
        const found = at(x, y, full);
        if (found) for (let c = 0; c < 4; c++) sum[c] += c < 3 ? found[c] : 1;
      }
      const place = row * (1 + side * 4) + 1 + column * 4;
      for (let c = 0; c < 3; c++) rows[place + c] = sum[3] ? Math.round(sum[c] / sum[3]) : 0;
      rows[place + 3] = Math.round((sum[3] / (samples * samples)) * 255);
    }
  return rows;
}

// PNG (RFC 2083): length, type, data, CRC of type and data.
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body) >>> 0, 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
function png(side, full) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head.set([8, 6, 0, 0, 0], 8); // 8 bits, RGBA
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(draw(side, full), { level: 9 })), chunk('IEND', Buffer.alloc(0))]);
}

for (const [name, side, full] of [['icon-192', 192, false], ['icon-512', 512, false], ['icon-mask-512', 512, true], ['apple-touch-icon', 180, true]])
  writeFileSync(new URL(`../dist/${name}.png`, import.meta.url), png(side, full));
