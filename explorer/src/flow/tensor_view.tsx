import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { figure, roughly, shapeText } from "../draw/figures";
import { geometryOf, ravel, type Bars, type Box, type Maps } from "../draw/geometry";
import { paint } from "../draw/paint";
import { gradient, scaleOf } from "../draw/palette";
import { messageOf, nameOf, usePage } from "../page";
import type { Link, Range, Tensor, TensorRef } from "../source/types";
import { useSeen } from "./seen";

interface Props {
  of: TensorRef;
  shape: number[];
  label: string;
  /** widest that the drawing may get, in CSS pixels */
  wide: number;
}

const TOO_LARGE = 4_000_000;

/** One tensor as maps or bars: look, point, click; or with the arrow keys. */
export function TensorView({ of, shape, label, wide }: Props) {
  const { source, numbers, theme, opened, model, open, say } = usePage();
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const seen = useSeen(frame);
  const [asked, setAsked] = useState(false);
  const [tensor, setTensor] = useState<Tensor | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);
  const [cursor, setCursor] = useState<number[] | null>(null);
  const [tip, setTip] = useState<Box | null>(null);

  const chosen = opened && opened.link.what === of.what && opened.link.node === of.name ? opened.link.index : null;
  const reads = readsOf(opened, of);
  const link = (index: number[]): Link => ({ node: of.name, what: of.what, index, sample: owned(of) ? null : 0 });
  const few = useMemo(() => geometryOf(shape, false, wide), [shape, wide]);
  const beyond = chosen !== null && few.kind === "maps" && ravel(chosen.slice(0, -2), shape.slice(0, -2)) >= few.shown;
  const all = asked || beyond || few.shown === few.total;
  const geometry = useMemo(() => (all ? geometryOf(shape, true, wide) : few), [all, few, shape, wide]);
  const firsts = all ? shape[0]! : Math.ceil(few.shown / (shape.length === 4 ? shape[1]! : 1));
  const tooLarge = shape.slice(1).reduce((a, b) => a * b, firsts) > TOO_LARGE;

  useEffect(() => {
    if (!seen || tooLarge) return;
    let current = true;
    numbers.tensor(all ? of : { ...of, channels: [0, firsts] }).then(
      (found) => current && (setTensor(found), setRefusal(null)),
      (error: unknown) => current && setRefusal(messageOf(error)),
    );
    return () => void (current = false);
  }, [seen, numbers, of.what, of.name, all]);

  const signed = of.what !== "value";
  const scale = tensor && scaleOf(tensor.min, tensor.max, signed);
  useEffect(() => {
    if (canvas.current && tensor && scale) paint(canvas.current, tensor, geometry, scale, theme);
  }, [tensor, geometry, theme, signed]);

  const valueAt = (index: number[]) => tensor?.data[ravel(index, shape)] ?? NaN;
  const held = useMemo(() => source.held(of), [source, of.what, of.name]);
  const opens = useMemo(() => held && new Set(held.map(String)), [held]);
  const describe = (index: number[]) => {
    const value = valueAt(index);
    const text = tensor?.step && Number.isFinite(value) ? `≈ ${figure(roughly(value, tensor.step))}` : `= ${figure(value)}`;
    return `${nameOf(model, link(index))} ${text}${opens && !opens.has(String(index)) ? ", without its sum" : ""}`;
  };
  const move = (index: number[] | null) => {
    setCursor(index);
    setTip(index && (geometry.boxes(index.map((i) => [i, i + 1, 1]))[0] ?? null));
  };
  const onPointer = (event: PointerEvent) => move(geometry.at(event.offsetX, event.offsetY));
  const onKey = (event: KeyboardEvent) => {
    const at = cursor ?? chosen ?? shape.map(() => 0);
    if (event.key === "Enter" || event.key === " ") open(link(at));
    else {
      const next = step(event, at, shape, geometry);
      if (!next) return;
      move(next);
      say(describe(next));
    }
    event.preventDefault();
  };

  if (tooLarge) return <p class="aside">{shapeText(shape)}: too many numbers to draw</p>;
  return (
    <div class="tensor" ref={frame}>
      <div
        class="cells"
        style={{ width: `${geometry.width}px`, height: `${geometry.height}px` }}
        tabIndex={0}
        role="application"
        aria-roledescription="tensor"
        aria-label={`${label}, ${shapeText(shape)}. Arrow keys move, page up and down change the map, enter opens the cell.`}
        data-tensor={`${of.what} ${of.name}`}
        onPointerMove={onPointer}
        onPointerLeave={() => move(null)}
        onClick={(event) => {
          const index = geometry.at(event.offsetX, event.offsetY);
          if (index) open(link(index));
        }}
        onKeyDown={onKey}
        onBlur={() => move(null)}
      >
        <canvas ref={canvas} style={{ width: `${geometry.width}px`, height: `${geometry.height}px` }} />
        <Marks geometry={geometry} held={held ?? []} reads={reads} chosen={chosen} cursor={cursor} />
        {tip && cursor && (
          <span class="tip" style={{ left: `${tip.x + tip.width / 2}px`, top: `${tip.y}px` }}>
            {describe(cursor)}
          </span>
        )}
      </div>
      {refusal && <p class="aside">{refusal}</p>}
      {scale && tensor && (
        <div class="legend" aria-hidden="true">
          <span>{figure(scale.signed ? -scale.top : 0, 2)}</span>
          <i style={{ background: gradient(scale, theme) }} />
          <span>{figure(scale.top, 2)}</span>
        </div>
      )}
      {!beyond && few.shown < few.total && (
        <button class="quiet" onClick={() => setAsked(!asked)}>
          {asked ? "fewer" : `all ${few.total}`}
        </button>
      )}
    </div>
  );
}

function owned(of: TensorRef): boolean {
  return of.what === "parameter" || of.what === "gradient";
}

function readsOf(opened: ReturnType<typeof usePage>["opened"], of: TensorRef): Range[][] {
  if (!opened?.cell || owned(of)) return [];
  return opened.cell.reads.filter((r) => r.node === of.name && (r.sample ?? 0) === 0).map((r) => r.ranges);
}

interface Marked {
  geometry: Maps | Bars;
  held: number[][];
  reads: Range[][];
  chosen: number[] | null;
  cursor: number[] | null;
}

function Marks({ geometry, held, reads, chosen, cursor }: Marked) {
  const dots = useMemo(() => held.flatMap((index) => geometry.boxes(index.map((i) => [i, i + 1, 1]))), [geometry, held]);
  const one = (index: number[] | null) => (index ? geometry.boxes(index.map((i) => [i, i + 1, 1])) : []);
  const mark = (name: string, boxes: Box[], around: number) =>
    boxes.map((b) => (
      <rect
        class={name}
        x={b.x - around}
        y={b.y - around}
        width={Math.max(b.width, 2) + 2 * around}
        height={Math.max(b.height, 2) + 2 * around}
      />
    ));
  return (
    <svg class="marks" width={geometry.width} height={geometry.height} aria-hidden="true">
      {dots.map((b) => <circle class="held" cx={b.x + b.width / 2} cy={b.y + b.height / 2} r={Math.min(2.2, Math.max(1.2, b.width / 4))} />)}
      {mark("reads", reads.flatMap((ranges) => geometry.boxes(ranges)).slice(0, 4096), 1)}
      {mark("cursor", one(cursor), 0.5)}
      {mark("chosen", one(chosen), 1.5)}
    </svg>
  );
}

/** Return where an arrow key leads, or null for another key. */
function step(event: KeyboardEvent, at: number[], shape: number[], geometry: Maps | Bars): number[] | null {
  const across = shape.length - 1;
  const move = (axis: number, by: number) =>
    at.map((i, a) => (a === axis ? Math.max(0, Math.min(shape[a]! - 1, i + by)) : i));
  const long = geometry.kind === "bars";
  switch (event.key) {
    case "ArrowUp": return long ? move(0, -1) : move(across - 1, -1);
    case "ArrowDown": return long ? move(0, 1) : move(across - 1, 1);
    case "ArrowLeft": return long ? move(0, -geometry.perColumn) : move(across, -1);
    case "ArrowRight": return long ? move(0, geometry.perColumn) : move(across, 1);
    case "PageUp": return move(0, -1);
    case "PageDown": return move(0, 1);
    case "Home": return at.map(() => 0);
    case "End": return shape.map((n) => n - 1);
    default: return null;
  }
}
