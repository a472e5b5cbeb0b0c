import type { Tensor } from "./types";

/** An array as it travels: base64 of float32, little-endian, in C order; with a step, of int8 that count steps. */
export interface Packed {
  shape: number[];
  data: string;
  min: number | null;
  max: number | null;
  step?: number;
}

export function unpack(packed: Packed): Tensor {
  const { buffer } = bytesOf(packed.data);
  const step = packed.step ?? 0;
  return {
    shape: packed.shape,
    data: step ? Float32Array.from(new Int8Array(buffer), (count) => count * step) : new Float32Array(buffer),
    step,
    min: packed.min ?? 0,
    max: packed.max ?? 0,
  };
}

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

export function textOf(bytes: Uint8Array): string {
  let raw = "";
  for (let i = 0; i < bytes.length; i += 8192) raw += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(raw);
}
