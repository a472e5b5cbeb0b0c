import type { Tensor } from "../source/types";
import type { Bars, Maps } from "./geometry";
import { colour, css, type Scale, type Theme } from "./palette";

/** Draw a tensor onto a canvas whose size in CSS pixels the geometry gives. */
export function paint(canvas: HTMLCanvasElement, tensor: Tensor, geometry: Maps | Bars, scale: Scale, theme: Theme): void {
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(geometry.width * dense));
  canvas.height = Math.max(1, Math.round(geometry.height * dense));
  const context = canvas.getContext("2d")!;
  context.scale(dense, dense);
  if (geometry.kind === "maps") paintMaps(context, tensor, geometry, scale, theme);
  else paintBars(context, tensor, geometry, scale, theme);
}

function paintMaps(context: CanvasRenderingContext2D, tensor: Tensor, g: Maps, scale: Scale, theme: Theme): void {
  const size = g.rows * g.cols;
  const stamp = document.createElement("canvas");
  [stamp.width, stamp.height] = [g.cols, g.rows];
  const ink = stamp.getContext("2d")!;
  const pixels = ink.createImageData(g.cols, g.rows);
  const bytes = new Uint32Array(pixels.data.buffer);
  context.imageSmoothingEnabled = g.scale < 1;
  for (let map = 0; map < g.shown; map++) {
    for (let i = 0; i < size; i++) bytes[i] = colour(tensor.data[map * size + i]!, scale, theme);
    ink.putImageData(pixels, 0, 0);
    const x = (map % g.columns) * (g.cols * g.scale + g.gap);
    const y = Math.floor(map / g.columns) * (g.rows * g.scale + g.gap);
    context.drawImage(stamp, x, y, g.cols * g.scale, g.rows * g.scale);
  }
}

function paintBars(context: CanvasRenderingContext2D, tensor: Tensor, g: Bars, scale: Scale, theme: Theme): void {
  const columns = Math.ceil(g.total / g.perColumn);
  const zero = scale.signed ? g.length / 2 : 0;
  const reach = g.length - zero;
  const rule = css(colour(0.35 * scale.top, { signed: false, top: scale.top }, theme));
  context.fillStyle = rule;
  for (let column = 0; column < columns; column++) {
    const rows = Math.min(g.perColumn, g.total - column * g.perColumn);
    context.fillRect(column * (g.length + g.gap) + zero - 0.5, 0, 1, rows * g.bar);
  }
  const space = g.bar > 4 ? 2 : g.bar > 2 ? 1 : 0;
  for (let i = 0; i < g.total; i++) {
    const value = tensor.data[i]!;
    const long = (Math.min(Math.abs(value) / scale.top, 1) || 0) * reach;
    const x = Math.floor(i / g.perColumn) * (g.length + g.gap) + (value < 0 ? zero - long : zero);
    context.fillStyle = css(colour(value < 0 ? -0.7 * scale.top : 0.7 * scale.top, scale, theme));
    context.fillRect(x, (i % g.perColumn) * g.bar + space / 2, long, g.bar - space);
  }
}
