/**
 * Colours of numbers. Blue above zero, orange below: the pair that the common kinds of colour blindness keep apart.
 * Zero is the colour of the page, so that what is bright or dark is what matters. A quantity that is never negative
 * goes from the page's colour to ink.
 */

export type Theme = "light" | "dark";
type Rgb = readonly [number, number, number];

interface Stops {
  positive: readonly Rgb[];
  negative: readonly Rgb[];
  ink: readonly Rgb[];
}

const STOPS: Record<Theme, Stops> = {
  light: {
    positive: [[244, 241, 233], [150, 186, 220], [49, 113, 175], [12, 52, 104]],
    negative: [[244, 241, 233], [240, 190, 132], [204, 108, 28], [112, 48, 4]],
    ink: [[244, 241, 233], [158, 160, 164], [74, 82, 95], [20, 28, 40]],
  },
  dark: {
    positive: [[32, 34, 40], [38, 84, 132], [84, 152, 216], [190, 224, 255]],
    negative: [[32, 34, 40], [128, 68, 20], [222, 134, 54], [255, 218, 168]],
    ink: [[32, 34, 40], [98, 100, 104], [172, 172, 170], [248, 245, 236]],
  },
};

const LEVELS = 256;

function ramp(stops: readonly Rgb[]): Uint32Array {
  const out = new Uint32Array(LEVELS);
  for (let level = 0; level < LEVELS; level++) {
    const place = (level / (LEVELS - 1)) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    const [from, to] = [stops[left]!, stops[left + 1]!];
    const mix = (i: 0 | 1 | 2) => Math.round(from[i] + (to[i] - from[i]) * (place - left));
    out[level] = (255 << 24) | (mix(2) << 16) | (mix(1) << 8) | mix(0);
  }
  return out;
}

const RAMPS = Object.fromEntries(
  Object.entries(STOPS).map(([theme, s]) => [
    theme,
    { positive: ramp(s.positive), negative: ramp(s.negative), ink: ramp(s.ink) },
  ]),
) as Record<Theme, Record<keyof Stops, Uint32Array>>;

/** How numbers become colours: from 0 to `top` in ink, or from −`top` to `top` around zero. */
export interface Scale {
  signed: boolean;
  top: number;
}

export function scaleOf(min: number, max: number, signed: boolean): Scale {
  const top = Math.max(Math.abs(min), Math.abs(max));
  return { signed: signed || min < 0, top: top > 0 && Number.isFinite(top) ? top : 1 };
}

/** Return the colour of a number as the four bytes of a canvas pixel; NaN is a glaring red, never hidden. */
export function colour(value: number, scale: Scale, theme: Theme): number {
  if (Number.isNaN(value)) return 0xff2020ff;
  const level = Math.round(Math.min(Math.abs(value) / scale.top, 1) * (LEVELS - 1));
  const ramps = RAMPS[theme];
  const chosen = !scale.signed ? ramps.ink : value < 0 ? ramps.negative : ramps.positive;
  return chosen[level]!;
}

export function css(bytes: number): string {
  return `rgb(${bytes & 255} ${(bytes >> 8) & 255} ${(bytes >> 16) & 255})`;
}

/** Return the legend of a scale as a CSS gradient. */
export function gradient(scale: Scale, theme: Theme): string {
  const from = scale.signed ? -1 : 0;
  const stops = Array.from({ length: 9 }, (_, i) => {
    const value = from + ((1 - from) * i) / 8;
    return css(colour(value * scale.top, scale, theme));
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
