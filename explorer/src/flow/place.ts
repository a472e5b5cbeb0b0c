import type { Item } from "./fold";

export interface Place {
  column: number;
  lane: number;
}

/**
 * Return a column and a lane for every item: columns by the longest way from the input, so that every arrow points
 * right; the first reader of an item stays in its lane, the others branch off into the next lane that is free.
 */
export function place(items: readonly Item[]): Map<string, Place> {
  const places = new Map<string, Place>();
  const taken = new Set<string>();
  for (const item of items) {
    const sources = item.inputs.map((id) => places.get(id)!);
    const column = 1 + Math.max(-1, ...sources.map((source) => source.column));
    let lane = sources.length ? Math.min(...sources.map((source) => source.lane)) : 0;
    while (taken.has(`${column} ${lane}`)) lane++;
    taken.add(`${column} ${lane}`);
    places.set(item.id, { column, lane });
  }
  return places;
}
