import { useEffect, useRef } from "preact/hooks";
import { usePage } from "../page";
import type { Picture } from "../source/types";

const SIDE = 196;

/** A pad to draw on with mouse, pen or finger: light strokes on a dark ground, as the digits are. */
export function Drawing({ onDone }: { onDone(picture: Picture): unknown }) {
  const { model, say } = usePage();
  const pad = useRef<HTMLCanvasElement>(null);
  const last = useRef<[number, number] | null>(null);
  const [channels, rows, columns] = model.input.shape as [number, number, number];
  const height = Math.round((SIDE * rows) / columns);
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
  const stroke = (event: PointerEvent) => {
    const at: [number, number] = [event.offsetX, event.offsetY];
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
  return (
    <div class="drawing">
      <canvas
        ref={pad} width={SIDE} height={height} role="img" aria-label="a pad to draw on with mouse, pen or finger"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          stroke(event);
        }}
        onPointerMove={(event) => last.current && stroke(event)}
        onPointerUp={() => {
          if (last.current) done();
          last.current = null;
        }}
        onPointerCancel={() => (last.current = null)}
      />
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
