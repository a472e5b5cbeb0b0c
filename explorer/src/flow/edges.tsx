import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { usePage } from "../page";
import type { Item } from "./fold";
import type { Place } from "./place";

interface Edge {
  path: string;
  lit: boolean;
}

/** The arrows between cards, measured where the cards have come to lie; in *backward* they point back. */
export function Edges({ grid, items, places }: { grid: RefObject<HTMLElement | null>; items: Item[]; places: Map<string, Place> }) {
  const { view, opened } = usePage();
  const [edges, setEdges] = useState<Edge[]>([]);
  const [size, setSize] = useState({ width: 0, height: 0 });

  useLayoutEffect(() => {
    const box = grid.current!;
    const measure = () => {
      const cards = new Map([...box.querySelectorAll<HTMLElement>("[data-item]")].map((c) => [c.dataset["item"]!, c]));
      setEdges(items.flatMap((item) => item.inputs.map((from) => {
        const path = way(cards.get(from)!, cards.get(item.id)!, isBlocked(from, item.id, places));
        const names = new Set(item.members.map((node) => node.name));
        return { path, lit: names.has(opened?.link.node ?? "") };
      })));
      setSize({ width: box.scrollWidth, height: box.scrollHeight });
    };
    measure();
    const watcher = new ResizeObserver(measure);
    for (const card of box.querySelectorAll("[data-item]")) watcher.observe(card);
    return () => watcher.disconnect();
  }, [items, opened?.link.node, view]);

  const end = view === "backward" ? { "marker-start": "url(#arrow)" } : { "marker-end": "url(#arrow)" };
  return (
    <svg class="edges" width={size.width} height={size.height} aria-hidden="true">
      <defs>
        <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
          <path d="M0 0.8 L7.5 4 L0 7.2 z" />
        </marker>
      </defs>
      {edges.map((edge) => <path class={edge.lit ? "lit" : ""} d={edge.path} {...end} />)}
    </svg>
  );
}

/** Tell whether a card stands in the way of a straight arrow. */
function isBlocked(from: string, to: string, places: Map<string, Place>): boolean {
  const [a, b] = [places.get(from)!, places.get(to)!];
  const lane = Math.max(a.lane, b.lane);
  return b.column - a.column > 1 &&
    [...places.values()].some((p) => p.lane === lane && p.column > a.column && p.column < b.column);
}

function way(from: HTMLElement, to: HTMLElement, blocked: boolean): string {
  const [fx, fy] = [from.offsetLeft + from.offsetWidth + 2, from.offsetTop + from.offsetHeight / 2];
  const [tx, ty] = [to.offsetLeft - 3, to.offsetTop + to.offsetHeight / 2];
  if (blocked) {
    const [sx, sy] = [from.offsetLeft + from.offsetWidth * 0.7, from.offsetTop - 2];
    const [ex, ey] = [to.offsetLeft + to.offsetWidth * 0.3, to.offsetTop - 3];
    const top = Math.max(6, Math.min(sy, ey) - 30);
    return `M${sx} ${sy} C${sx} ${top} ${sx + 20} ${top} ${sx + 40} ${top} H${ex - 40} C${ex - 20} ${top} ${ex} ${top} ${ex} ${ey}`;
  }
  const bend = Math.min(60, (tx - fx) / 2);
  const turn = tx - 2 * bend;
  return `M${fx} ${fy} H${Math.max(fx, turn)} C${tx - bend} ${fy} ${tx - bend} ${ty} ${tx} ${ty}`;
}
