import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { usePage } from "../page";
import type { Item } from "./fold";
import type { Place } from "./place";

interface Edge {
  ends: string;
  path: string;
  arched: boolean;
  lit: boolean;
}

/** The arrows between cards, measured where the cards have come to lie; in *backward* they point back. */
export function Edges({ grid, items, places }: { grid: RefObject<HTMLElement | null>; items: Item[]; places: Map<string, Place> }) {
  const { view, opened } = usePage();
  const [edges, setEdges] = useState<Edge[]>([]);
  const [size, setSize] = useState({ width: 0, height: 0 });

  useLayoutEffect(() => {
    const box = grid.current!;
    const byId = new Map(items.map((item) => [item.id, item]));
    const measure = () => {
      const cards = new Map([...box.querySelectorAll<HTMLElement>("[data-item]")].map((c) => [c.dataset["item"]!, c]));
      const arcs = arcsOf(items, places, cards);
      setEdges(items.flatMap((item) => item.inputs.map((from) => {
        const ends = `${from} ${item.id}`;
        const [arc, start, end] = [arcs.get(ends), cards.get(from)!, cards.get(item.id)!];
        // δ comes from the layers that read a cell, its value from those it reads.
        const lights = view === "backward" ? byId.get(from)! : item;
        const lit = lights.members.some((node) => node.name === opened?.link.node);
        return { ends, arched: arc !== undefined, lit, path: arc ? arched(start, end, arc) : straight(start, end) };
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
      {edges.map((edge) => (
        <path key={edge.ends} class={`${edge.arched ? "arc" : "straight"}${edge.lit ? " lit" : ""}`} data-ends={edge.ends} d={edge.path} {...end} />
      ))}
    </svg>
  );
}

/** An arrow that passes over cards: which, and how many shorter arcs it passes over as well. */
interface Arc {
  over: HTMLElement[];
  level: number;
}

/**
 * Return the arcs among the arrows, by their two ends: those with cards of their own lane between. An arc within
 * another runs below it.
 */
function arcsOf(items: readonly Item[], places: ReadonlyMap<string, Place>, cards: ReadonlyMap<string, HTMLElement>): Map<string, Arc> {
  const arcs = new Map<string, Arc>();
  const ends = items.flatMap((item) => item.inputs.map((from) => ({ from, to: item.id, a: places.get(from)!, b: places.get(item.id)! })));
  const known: { lane: number; from: number; to: number; level: number }[] = [];
  for (const { from, to, a, b } of ends.sort((x, y) => x.b.column - x.a.column - (y.b.column - y.a.column))) {
    const lane = Math.max(a.lane, b.lane);
    const over = [...places].filter(([, p]) => p.lane === lane && p.column > a.column && p.column < b.column);
    if (!over.length) continue;
    const within = known.filter((arc) => arc.lane === lane && arc.from >= a.column && arc.to <= b.column);
    const level = 1 + Math.max(-1, ...within.map((arc) => arc.level));
    known.push({ lane, from: a.column, to: b.column, level });
    arcs.set(`${from} ${to}`, { over: over.map(([id]) => cards.get(id)!), level });
  }
  return arcs;
}

/** Leave a card to the right and reach the next from the left; it changes lanes between columns. */
function straight(from: HTMLElement, to: HTMLElement): string {
  const [fx, fy] = [from.offsetLeft + from.offsetWidth + 2, from.offsetTop + from.offsetHeight / 2];
  const [tx, ty] = [to.offsetLeft - 3, to.offsetTop + to.offsetHeight / 2];
  const bend = Math.min(20, (tx - fx) / 2);
  const turn = tx - 2 * bend;
  return `M${fx} ${fy} H${Math.max(fx, turn)} C${tx - bend} ${fy} ${tx - bend} ${ty} ${tx} ${ty}`;
}

/** how far an arc keeps from the cards under it, from the arc under it, and from the cards beside it; its corners */
const [ABOVE, APART, BESIDE, ROUND] = [12, 9, 18, 12];

/** Branch off to the right, pass over the cards between, and join what comes in from the left. */
function arched(from: HTMLElement, to: HTMLElement, { over, level }: Arc): string {
  const [fx, fy] = [from.offsetLeft + from.offsetWidth + 2, from.offsetTop + from.offsetHeight / 2];
  const [tx, ty] = [to.offsetLeft - 3, to.offsetTop + to.offsetHeight / 2];
  const [up, down] = [fx + BESIDE - 6, tx - BESIDE];
  const top = Math.max(5, Math.min(from.offsetTop, to.offsetTop, ...over.map((card) => card.offsetTop)) - ABOVE - APART * level);
  return `M${fx} ${fy} H${up - ROUND / 2} Q${up} ${fy} ${up} ${fy - ROUND} V${top + ROUND} Q${up} ${top} ${up + ROUND} ${top} ` +
    `H${down - ROUND} Q${down} ${top} ${down} ${top + ROUND} V${ty - ROUND} Q${down} ${ty} ${down + ROUND / 2} ${ty} H${tx}`;
}
