import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { usePage } from "../page";
import { Card } from "./card";
import { Edges } from "./edges";
import { fold, isDeep, stagesOf } from "./fold";
import { place } from "./place";

/** The network from left to right as its real tensors. */
export function Flow() {
  const { model, nodes, view, opened } = usePage();
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const grid = useRef<HTMLDivElement>(null);
  const items = useMemo(() => fold(model, nodes, open), [model, nodes, open]);
  const places = useMemo(() => place(items), [items]);
  const deep = isDeep(nodes);
  const owner = opened && ownerOf(nodes, opened.link.node);

  useEffect(() => {
    if (!owner) return;
    const needed = stagesOf(model, nodes, owner);
    if ([...needed].some((id) => !open.has(id))) setOpen(new Set([...open, ...needed]));
  }, [owner]);

  useEffect(() => {
    if (!owner) return;
    const card = grid.current?.querySelector(`[data-node="${CSS.escape(owner)}"]`);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card?.scrollIntoView({ inline: "nearest", block: "nearest", behavior: calm ? "instant" : "smooth" });
  }, [owner, view, items]);

  const toggle = (id: string, wanted: boolean) => {
    const next = new Set(open);
    if (wanted) next.add(id);
    else next.delete(id);
    setOpen(next);
  };
  return (
    <div class="flow" role="region" aria-label="the network, from the input on the left to the output on the right" tabIndex={0}>
      <div class="grid" ref={grid}>
        <Edges grid={grid} items={items} places={places} />
        {items.map((item) => (
          <Card
            key={item.id} item={item} at={places.get(item.id)!} deep={deep}
            onUnfold={(id) => toggle(id, true)} onFold={(id) => toggle(id, false)}
          />
        ))}
      </div>
    </div>
  );
}

function ownerOf(nodes: ReturnType<typeof usePage>["nodes"], name: string): string | null {
  const found = nodes.find((node) => node.name === name || node.parameters.some((parameter) => parameter.name === name));
  return found?.name ?? null;
}
