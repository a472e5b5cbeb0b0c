/** Where the cells of a tensor lie on its canvas, and back. */

import type { Range } from "../source/types";

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Geometry {
  width: number;
  height: number;
  /** how many of the tensor's maps, or entries of a vector, are on the canvas */
  shown: number;
  total: number;
  /** Return the index of the cell under a point, or null between cells. */
  at(x: number, y: number): number[] | null;
  /** Return the boxes that cover the cells of a range along each axis. */
  boxes(ranges: readonly Range[]): Box[];
}

export interface Maps extends Geometry {
  kind: "maps";
  columns: number;
  scale: number;
  gap: number;
  rows: number;
  cols: number;
}

export interface Bars extends Geometry {
  kind: "bars";
  perColumn: number;
  bar: number;
  length: number;
  gap: number;
}

/** maps shown before all are asked for; input maps that filters have at most to stand in one row */
const [SHOWN_AT_FIRST, ROW] = [16, 12];

/** Return the geometry of (C, H, W), (F, C, H, W), (I, J) or (K,). */
export function geometryOf(shape: readonly number[], all: boolean, wide: number): Maps | Bars {
  const long = shape.length === 1 || (shape.length === 3 && shape[1] === 1 && shape[2] === 1);
  return long ? bars(shape) : maps(shape, all, wide);
}

function maps(shape: readonly number[], all: boolean, wide: number): Maps {
  const rows = shape.at(-2)!;
  const cols = shape.at(-1)!;
  const total = shape.slice(0, -2).reduce((a, b) => a * b, 1);
  const filters = shape.length === 4;
  const inputs = filters ? shape[1]! : 1;
  const shown = all ? total : Math.min(total, filters ? (inputs <= ROW ? 6 * inputs : 4 * SHOWN_AT_FIRST) : SHOWN_AT_FIRST);
  const columns = filters && inputs > 1 && inputs <= ROW ? inputs : Math.ceil(Math.sqrt(0.8 * shown));
  const side = total === 1 ? (shape.length === 2 ? 360 : 148) : filters ? 30 : 60;
  const fit = side / Math.max(rows, cols);
  const widest = (wide - 4 * columns) / columns / cols;
  const free = Math.min(fit, widest);
  const scale = free >= 1 ? Math.max(1, Math.round(free)) : free;
  const gap = total === 1 ? 0 : filters ? 3 : 4;
  const [stepX, stepY] = [cols * scale + gap, rows * scale + gap];
  const box = (map: number, r: Piece, c: Piece): Box => ({
    x: (map % columns) * stepX + c[0] * scale,
    y: Math.floor(map / columns) * stepY + r[0] * scale,
    width: (c[1] - c[0]) * scale,
    height: (r[1] - r[0]) * scale,
  });
  return {
    kind: "maps", columns, scale, gap, rows, cols, shown, total,
    width: Math.min(columns, shown) * stepX - gap,
    height: Math.ceil(shown / columns) * stepY - gap,
    at(x, y) {
      const [column, row] = [Math.floor(x / stepX), Math.floor(y / stepY)];
      const map = row * columns + column;
      const [h, w] = [Math.floor((y - row * stepY) / scale), Math.floor((x - column * stepX) / scale)];
      if (x < 0 || y < 0 || column >= columns || map >= shown || h >= rows || w >= cols) return null;
      return [...unravel(map, shape.slice(0, -2)), h, w];
    },
    boxes(ranges) {
      const [down, across] = ranges.slice(-2).map(pieces) as [Piece[], Piece[]];
      return every(ranges.slice(0, -2))
        .map((index) => ravel(index, shape.slice(0, -2)))
        .filter((map) => map < shown)
        .flatMap((map) => down.flatMap((r) => across.map((c) => box(map, r, c))));
    },
  };
}

type Piece = readonly [number, number];

/** Return a range as pieces without gaps. */
function pieces([from, to, step]: Range): Piece[] {
  if (step === 1) return [[from, to]];
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => [from + i * step, from + i * step + 1]);
}

function bars(shape: readonly number[]): Bars {
  const total = shape[0]!;
  const perColumn = total <= 32 ? total : total <= 256 ? 48 : 96;
  const bar = total <= 16 ? 14 : total <= 32 ? 9 : total <= 256 ? 5 : 3;
  const length = total <= 32 ? 96 : total <= 256 ? 44 : 18;
  const gap = 6;
  const columns = Math.ceil(total / perColumn);
  const tail = shape.slice(1).map(() => 0);
  const box = (from: number, to: number): Box => {
    const column = Math.floor(from / perColumn);
    return { x: column * (length + gap), y: (from - column * perColumn) * bar, width: length, height: (to - from) * bar };
  };
  return {
    kind: "bars", perColumn, bar, length, gap, shown: total, total,
    width: columns * (length + gap) - gap,
    height: Math.min(perColumn, total) * bar,
    at(x, y) {
      const column = Math.floor(x / (length + gap));
      const row = Math.floor(y / bar);
      const entry = column * perColumn + row;
      if (x < 0 || y < 0 || row >= perColumn || entry >= total || column >= columns) return null;
      return [entry, ...tail];
    },
    boxes(ranges) {
      const out: Box[] = [];
      for (const [from, to] of pieces(ranges[0]!)) {
        for (let start = from; start < to; ) {
          const end = Math.min(to, (Math.floor(start / perColumn) + 1) * perColumn);
          out.push(box(start, end));
          start = end;
        }
      }
      return out;
    },
  };
}

export function ravel(index: readonly number[], shape: readonly number[]): number {
  return index.reduce((flat, i, axis) => flat * shape[axis]! + i, 0);
}

export function unravel(flat: number, shape: readonly number[]): number[] {
  const out: number[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    out.unshift(flat % shape[axis]!);
    flat = Math.floor(flat / shape[axis]!);
  }
  return out;
}

function every(ranges: readonly Range[]): number[][] {
  return ranges.reduce<number[][]>(
    (found, [from, to, step]) =>
      found.flatMap((index) => Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => [...index, from + i * step])),
    [[]],
  );
}
