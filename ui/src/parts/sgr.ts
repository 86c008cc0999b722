// Colour codes of programs (SGR, ECMA-48 section 8.3.117) as runs of text with a look. Nothing else that an escape could
// say is obeyed: what is no SGR is left as it is and shown as a mark. Colours outside of the basic sixteen become the
// nearest of them, so that every text stays readable on our papers.
export interface Run {
  text: string;
  look: string; // class names
}
interface Look {
  fore: number; // -1: as the text; 0 to 7
  back: number;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  under: boolean;
  strike: boolean;
  inverse: boolean;
}
const plain: Look = { fore: -1, back: -1, bold: false, dim: false, italic: false, under: false, strike: false, inverse: false };

function nearest(r: number, g: number, b: number): number {
  const most = Math.max(r, g, b);
  if (most - Math.min(r, g, b) < 40) return most < 90 ? 0 : 7;
  const on = (part: number) => (part > most * 0.6 ? 1 : 0);
  return on(r) | (on(g) << 1) | (on(b) << 2);
}
function indexed(n: number): number {
  if (n < 16) return n % 8;
  if (n >= 232) return n < 240 ? 0 : 7;
  const at = n - 16;
  const step = (i: number) => (i ? i * 40 + 55 : 0);
  return nearest(step(Math.floor(at / 36)), step(Math.floor(at / 6) % 6), step(at % 6));
}

// Takes the colour that follows 38 or 48; how many numbers it used.
function colour(codes: number[], at: number): [number, number] {
  if (codes[at] === 5) return [indexed(codes[at + 1] ?? 7), 2];
  if (codes[at] === 2) return [nearest(codes[at + 1] ?? 0, codes[at + 2] ?? 0, codes[at + 3] ?? 0), 4];
  return [-1, 1];
}

function apply(look: Look, codes: number[]): Look {
  let now = { ...look };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (code === 0) now = { ...plain };
    else if (code === 1) now.bold = true;
    else if (code === 2) now.dim = true;
    else if (code === 3) now.italic = true;
    else if (code === 4) now.under = true;
    else if (code === 7) now.inverse = true;
    else if (code === 9) now.strike = true;
    else if (code === 22) now.bold = now.dim = false;
    else if (code === 23) now.italic = false;
    else if (code === 24) now.under = false;
    else if (code === 27) now.inverse = false;
    else if (code === 29) now.strike = false;
    else if (code >= 30 && code <= 37) now.fore = code - 30;
    else if (code >= 90 && code <= 97) now.fore = code - 90;
    else if (code >= 40 && code <= 47) now.back = code - 40;
    else if (code >= 100 && code <= 107) now.back = code - 100;
    else if (code === 39) now.fore = -1;
    else if (code === 49) now.back = -1;
    else if (code === 38 || code === 48) {
      const [found, used] = colour(codes, i + 1);
      if (code === 38) now.fore = found;
      else now.back = found;
      i += used;
    }
  }
  return now;
}

function names(look: Look): string {
  const list: string[] = [];
  if (look.fore >= 0) list.push(`sgr-${look.fore}`);
  if (look.back >= 0) list.push('sgr-back');
  if (look.bold) list.push('sgr-bold');
  if (look.dim) list.push('sgr-dim');
  if (look.italic) list.push('sgr-italic');
  if (look.under) list.push('sgr-under');
  if (look.strike) list.push('sgr-strike');
  if (look.inverse) list.push('sgr-inverse');
  return list.join(' ');
}

// One line; lines do not hand their look on to each other.
export function sgrRuns(line: string): Run[] {
  if (!line.includes('\u001b[')) return [{ text: line, look: '' }];
  const runs: Run[] = [];
  const code = /\u001b\[([0-9;:]{0,64})m/g;
  let look = plain;
  let at = 0;
  for (const found of line.matchAll(code)) {
    if (found.index > at) runs.push({ text: line.slice(at, found.index), look: names(look) });
    look = apply(look, found[1] ? found[1].split(/[;:]/).map((part) => Number(part) || 0) : [0]);
    at = found.index + found[0].length;
  }
  if (at < line.length) runs.push({ text: line.slice(at), look: names(look) });
  return runs;
}
export const withoutSgr = (line: string): string => line.replace(/\u001b\[[0-9;:]{0,64}m/g, '');
