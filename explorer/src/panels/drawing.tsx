import { useEffect, useRef, useState } from "preact/hooks";
import { usePage } from "../page";
import type { Picture } from "../source/types";

const SIDE = 196;
const ARROWS: Record<string, [number, number]> = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

const within = (place: number, size: number) => Math.max(0, Math.min(size, place));

/** A pad to draw on with mouse, pen, finger or the arrow keys: light strokes on a dark ground, as the digits are. */
export function Drawing({ onDone }: { onDone(picture: Picture): unknown }) {
  const { model, say } = usePage();
  const pad = useRef<HTMLCanvasElement>(null);
  const last = useRef<[number, number] | null>(null);
  const [channels, rows, columns] = model.input.shape as [number, number, number];
  const height = Math.round((SIDE * rows) / columns);
  const [nib, setNib] = useState<[number, number] | null>(null);
  const pen = Math.max(8, SIDE / Math.min(columns, 14));

  const ink = () => pad.current!.getContext("2d", { willReadFrequently: true })!;
  const clear = () => {
    ink().fillStyle = "#000";
    ink().fillRect(0, 0, SIDE, height);
  };
  useEffect(clear, []);

  const done = () => {
    const rgba = ink().getImageData(0, 0, SIDE, height).data;
    const grey = channels !== 3;
    const pixels = grey
      ? Uint8Array.from({ length: SIDE * height }, (_, i) => rgba[4 * i]!)
      : Uint8Array.from({ length: 3 * SIDE * height }, (_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)]!);
    onDone({ width: SIDE, height, channels: grey ? 1 : 3, pixels });
  };
  const stroke = (at: [number, number]) => {
    const from = last.current ?? at;
    const context = ink();
    context.strokeStyle = "#fff";
    context.lineWidth = pen;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(at[0] + 0.01, at[1]);
    context.stroke();
    last.current = at;
  };
  const lift = () => {
    if (last.current) done();
    last.current = null;
  };
  const onKey = (event: KeyboardEvent) => {
    const at = nib ?? [SIDE / 2, height / 2];
    const arrow = ARROWS[event.key];
    if (arrow) {
      const next = [within(at[0] + (arrow[0] * pen) / 2, SIDE), within(at[1] + (arrow[1] * pen) / 2, height)] as [number, number];
      setNib(next);
      if (last.current) stroke(next);
    } else if (event.key === " " || event.key === "Enter") {
      setNib(at);
      say(last.current ? "the pen is up" : "the pen is down");
      if (last.current) lift();
      else stroke(at);
    } else return;
    event.preventDefault();
  };
  return (
    <div class="drawing">
      <div
        class="pad" style={{ width: `${SIDE}px`, height: `${height}px` }} tabIndex={0} role="application" onKeyDown={onKey}
        aria-label="A pad to draw on with mouse, pen or finger; or with the arrow keys, space puts the pen down and lifts it."
        onBlur={() => {
          lift();
          setNib(null);
        }}
      >
        <canvas
          ref={pad} width={SIDE} height={height}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            setNib(null);
            last.current = null;
            stroke([event.offsetX, event.offsetY]);
          }}
          onPointerMove={(event) => event.buttons > 0 && last.current && stroke([event.offsetX, event.offsetY])}
          onPointerUp={lift}
          onPointerCancel={lift}
        />
        {nib && <i class="nib" style={{ left: `${nib[0] - pen / 2}px`, top: `${nib[1] - pen / 2}px`, width: `${pen}px`, height: `${pen}px` }} />}
      </div>
      <button
        class="quiet"
        onClick={() => {
          clear();
          done();
          say("the pad is empty");
        }}
      >
        clear
      </button>
    </div>
  );
}
