import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Theme } from "./draw/palette";
import type { Numbers } from "./source/numbers";
import type { Cell, Link, Model, Node, Source, State } from "./source/types";

export type View = "forward" | "backward" | "parameters";

/** The node of the numbers that belong to the loss, and J itself, where a walk begins. */
export const LOSS = "loss";
export const WHOLE_LOSS: Link = { node: LOSS, what: "loss", index: [], sample: null };

/** A cell that is asked for, then there, or refused. */
export interface Opened {
  link: Link;
  cell: Cell | null;
  refusal: string | null;
}

/** What every part of the page sees. */
export interface Page {
  source: Source;
  model: Model;
  /** the input, the layers in running order, the loss */
  nodes: Node[];
  state: State;
  numbers: Numbers;
  view: View;
  theme: Theme;
  opened: Opened | null;
  /** Open a cell, as a step of the walk or as the start of a new one. */
  open(link: Link, walking?: boolean): void;
  /** Take over what a change of sample, label or weights answered. */
  changed(state: State): void;
  /** Say something to who listens instead of looking. */
  say(text: string): void;
  /** Tell of something that went wrong. */
  fail(error: unknown): void;
}

const Context = createContext<Page | null>(null);
export const PageProvider = Context.Provider;

export function usePage(): Page {
  const page = useContext(Context);
  if (!page) throw new Error("a part of the page is outside the page");
  return page;
}

/** Return the view that shows a number, or null for one that every view leaves aside, such as the loss. */
export function viewOf({ what }: Link): View | null {
  if (what === "value" || what === "inner" || what === "prediction") return "forward";
  if (what === "delta" || what === "share") return "backward";
  return what === "parameter" || what === "gradient" ? "parameters" : null;
}

/** Return how a number is called in a sentence. */
export function nameOf(model: Model, { what, node, index, sample }: Link): string {
  if (node === LOSS && what === "loss") return "J, the loss";
  const classes = node === LOSS || node === model.nodes.at(-1)?.name;
  const name = classes && index.length === 1 && model.classes[index[0]!];
  const place = `${index.length ? `[${index.join(", ")}]` : ""}${name && name !== String(index[0]) ? ` (${name})` : ""}`;
  const where = `${node === LOSS ? what.replace("_", " ") : node}${place}${sample ? ` of sample ${sample}` : ""}`;
  if (what === "delta" || what === "gradient") return `∂J/∂ ${where}`;
  if (what === "share") return `what ${node} sends back to [${index.slice(1).join(", ")}]`;
  return where;
}

/** Return what a number is found by among those of a sample, here and in a hand-out. */
export function keyOf({ what, node, index }: Link): string {
  return `${what} ${node} ${index.join(",")}`;
}

/** Return the address of a cell, for the part of the page's address behind "#", and the cell of an address. */
export function addressOf({ what, node, index, sample }: Link): string {
  return [what, node, index.join(","), ...(sample ? [sample] : [])].map((part) => encodeURIComponent(part)).join("/");
}

export function linkAt(address: string): Link | null {
  const [what, node, index, sample] = address.replace(/^#/, "").split("/").map(decodeURIComponent);
  if (!what || !node) return null;
  const shared = what === "parameter" || what === "gradient" || what === "loss";
  return {
    what: what as Link["what"], node, index: index ? index.split(",").map(Number) : [],
    sample: sample ? Number(sample) : shared ? null : 0,
  };
}

export function sameLink(a: Link, b: Link): boolean {
  return a.node === b.node && a.what === b.what && a.sample === b.sample && String(a.index) === String(b.index);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
