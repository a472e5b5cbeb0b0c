import { figure } from "../draw/figures";

export interface Series {
  label: string;
  style: "line" | "dashed" | "dots";
  tone: "blue" | "orange" | "ink";
  points: (readonly [number, number | null])[];
}

interface Props {
  series: Series[];
  x: string;
  y: string;
  /** where a vertical rule stands */
  at?: number;
  from?: number;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [360, 210, 52, 34, 10, 10];

/** A small plot: a few curves, ticks that are round numbers, and its last values in words. */
export function Plot({ series, x, y, at, from }: Props) {
  const points = series.flatMap((s) => s.points).filter((p): p is readonly [number, number] => Number.isFinite(p[1]));
  const xs = extent(points.map((p) => p[0]));
  const ys = extent([...points.map((p) => p[1]), ...(from === undefined ? [] : [from])]);
  const px = (value: number) => LEFT + ((value - xs[0]) / (xs[1] - xs[0])) * (WIDTH - LEFT - RIGHT);
  const py = (value: number) => HEIGHT - BOTTOM - ((value - ys[0]) / (ys[1] - ys[0])) * (HEIGHT - BOTTOM - TOP);
  const said = series.map((s) => `${s.label}: ${figure(s.points.at(-1)?.[1] ?? null)} at the end`).join("; ");
  return (
    <figure class="plot">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${y} over ${x}. ${said}`}>
        {ticks(ys).map((t) => (
          <>
            <line class="rule" x1={LEFT} x2={WIDTH - RIGHT} y1={py(t)} y2={py(t)} />
            <text x={LEFT - 6} y={py(t) + 3.5} text-anchor="end">{figure(t, 3)}</text>
          </>
        ))}
        {ticks(xs).map((t) => <text x={px(t)} y={HEIGHT - BOTTOM + 15} text-anchor="middle">{figure(t, 3)}</text>)}
        <text class="axis" x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 3} text-anchor="middle">{x}</text>
        {at !== undefined && <line class="at" x1={px(at)} x2={px(at)} y1={TOP} y2={HEIGHT - BOTTOM} />}
        {series.map((s) =>
          s.style === "dots"
            ? s.points.map(([a, b]) => b !== null && <circle class={s.tone} cx={px(a)} cy={py(b)} r={2.4} />)
            : <path class={`${s.tone} ${s.style}`} d={line(s.points, px, py)} />,
        )}
      </svg>
      <figcaption>
        {series.map((s) => <span class={`key ${s.tone} ${s.style}`}>{s.label}</span>)}
      </figcaption>
    </figure>
  );
}

function line(points: Series["points"], px: (v: number) => number, py: (v: number) => number): string {
  const parts: string[] = [];
  let pen = "M";
  for (const [a, b] of points) {
    if (b === null || !Number.isFinite(b)) pen = "M";
    else {
      parts.push(`${pen}${px(a).toFixed(1)} ${py(b).toFixed(1)}`);
      pen = "L";
    }
  }
  return parts.join("");
}

function extent(values: number[]): [number, number] {
  if (!values.length) return [0, 1];
  const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const room = high > low ? 0.04 * (high - low) : Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

function ticks([low, high]: readonly [number, number]): number[] {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough)!;
  const out: number[] = [];
  for (let t = Math.ceil(low / step); t * step <= high; t++) out.push(Number((t * step).toPrecision(12)));
  return out;
}
