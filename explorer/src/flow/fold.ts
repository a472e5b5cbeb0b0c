import type { Model, Node } from "../source/types";

/** What is drawn in one place: a layer, or a stage of layers folded into its last one. */
export interface Item {
  id: string;
  title: string;
  /** the layer whose numbers are shown */
  node: Node;
  members: Node[];
  /** ids of the items it reads */
  inputs: string[];
  folded: boolean;
  /** the open stages around it, the outermost first */
  within: string[];
}

/** nodes, with the input and the loss, that a network has before it counts as deep */
const FEW = 17;

/** Tell whether a network is so deep that its stages start folded. */
export function isDeep(nodes: readonly Node[]): boolean {
  return nodes.length > FEW;
}

/**
 * Return what to draw, in running order.
 *
 * A deep network folds into stages of one map size, and those into the blocks it was made of. Only neighbours in
 * running order fold together, so folding never makes a circle.
 */
export function fold(model: Model, nodes: readonly Node[], open: ReadonlySet<string>): Item[] {
  const path = (node: Node): string[] =>
    node.stage < 0 ? [node.name] : [`stage ${model.stages[node.stage]!.title}`, node.block ?? node.name, node.name];
  const items = isDeep(nodes) ? runs(nodes, path, open, 0, []) : nodes.map((node) => single(node, []));
  const owner = new Map(items.flatMap((item) => item.members.map((node) => [node.name, item.id] as const)));
  for (const item of items) {
    const read = item.members.flatMap((node) => node.inputs.map((name) => owner.get(name)!));
    item.inputs = [...new Set(read)].filter((id) => id !== item.id);
  }
  return items;
}

function runs(
  nodes: readonly Node[], path: (node: Node) => string[], open: ReadonlySet<string>, depth: number, within: string[],
): Item[] {
  const items: Item[] = [];
  for (let start = 0; start < nodes.length; ) {
    const first = nodes[start]!;
    const parts = path(first);
    const key = parts[depth]!;
    let end = start + 1;
    while (end < nodes.length && path(nodes[end]!)[depth] === key) end++;
    const run = nodes.slice(start, end);
    const id = `${key} from ${first.name}`;
    if (run.length < 2 || parts.length === depth + 1) items.push(...run.map((node) => single(node, within)));
    else if (open.has(id)) items.push(...runs(run, path, open, depth + 1, [...within, id]));
    else items.push({ id, title: key, node: run.at(-1)!, members: run, inputs: [], folded: true, within });
    start = end;
  }
  return items;
}

function single(node: Node, within: string[]): Item {
  return { id: node.name, title: node.name, node, members: [node], inputs: [], folded: false, within };
}

/** Return the stages to open so that a layer shows. */
export function stagesOf(model: Model, nodes: readonly Node[], name: string): Set<string> {
  const open = new Set<string>();
  for (;;) {
    const item = fold(model, nodes, open).find((candidate) => candidate.members.some((node) => node.name === name));
    if (!item?.folded || item.node.name === name) return open;
    open.add(item.id);
  }
}
