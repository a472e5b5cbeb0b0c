import type { Figure } from "../source/types";

/** Return what JSON says of a number that it may not be able to write. */
export function numberOf(value: Figure): number {
  if (typeof value === "number") return value;
  return value === "inf" ? Infinity : value === "-inf" ? -Infinity : NaN;
}

/** Return a number with as many digits as a reader can use, with a true minus sign. */
export function figure(figure: Figure, digits = 4): string {
  const value = numberOf(figure);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? scientific(value, digits) : String(Number(value.toPrecision(digits)));
  return text.replace(/^-/, "−");
}

function scientific(value: number, digits: number): string {
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e") as [string, string];
  const raised = [...exponent.replace("+", "")].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)])).join("");
  return `${Number(mantissa)}·10${raised}`;
}

export function shapeText(shape: readonly number[]): string {
  return shape.join("×");
}

export function percent(value: Figure): string {
  return `${(100 * numberOf(value)).toFixed(1)} %`;
}

/** Return a number that is known to half a step with the digits that are sure. */
export function roughly(value: number, step: number): number {
  const digits = Math.floor(Math.log10(Math.abs(value) / step) + 1);
  return digits < 1 ? 0 : Number(value.toPrecision(Math.min(digits, 3)));
}
