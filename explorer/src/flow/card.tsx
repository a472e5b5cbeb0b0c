import { shapeText } from "../draw/figures";
import { LOSS, usePage } from "../page";
import type { Item } from "./fold";
import { LossNumbers } from "./loss_numbers";
import type { Place } from "./place";
import { TensorView } from "./tensor_view";

/** widest that a drawing gets, in CSS pixels */
const WIDE = 400;

interface Props {
  item: Item;
  at: Place;
  deep: boolean;
  onUnfold(id: string): void;
  onFold(id: string): void;
}

/** A layer, or a folded stage, in the flow. */
export function Card({ item, at, deep, onUnfold, onFold }: Props) {
  const { opened, view } = usePage();
  const { node, folded, members } = item;
  const current = members.some((member) => member.name === opened?.link.node || ownsParameter(member, opened?.link.node));
  const inner = item.within.at(-1);
  const shown = view === "forward" ? "value" : "delta";
  return (
    <section
      class={`card${current ? " current" : ""}${folded ? " folded" : ""}`}
      style={{ gridColumn: at.column + 1, gridRow: at.lane + 1 }}
      data-item={item.id}
      data-node={node.name}
      aria-label={folded ? `${item.title}, ${members.length} layers` : `${node.name}, ${node.kind}`}
    >
      <header>
        <h3>{item.title}</h3>
        <p>
          {folded ? `${members.length} layers, ending in ${node.name}` : node.kind} <span class="shape">{shapeText(node.shape)}</span>
        </p>
        {folded && <button class="quiet" onClick={() => onUnfold(item.id)}>unfold</button>}
        {deep && inner && isFirst(item) && <button class="quiet" onClick={() => onFold(inner)}>fold</button>}
      </header>
      {node.name === LOSS ? (
        <LossNumbers />
      ) : view === "parameters" ? (
        <Parameters item={item} />
      ) : (
        <TensorView
          key={view}
          of={{ what: shown, name: node.name }}
          shape={node.shape}
          label={shown === "value" ? `values of ${node.name}` : `δ of ${node.name}`}
          wide={WIDE}
        />
      )}
    </section>
  );
}

function Parameters({ item }: { item: Item }) {
  if (item.folded) {
    const count = item.members.reduce((sum, node) => sum + node.parameters.length, 0);
    return <p class="aside">{count} arrays of parameters; unfold to see them</p>;
  }
  const { parameters } = item.node;
  if (!parameters.length) return <p class="aside">learns nothing</p>;
  return (
    <>
      {parameters.map(({ name, key, shape }) => (
        <div class="parameter" key={name}>
          <div>
            <h4>{key} <span class="shape">{shapeText(shape)}</span></h4>
            <TensorView of={{ what: "parameter", name }} shape={shape} label={name} wide={WIDE} />
          </div>
          <div>
            <h4>∂J/∂ {key}</h4>
            <TensorView of={{ what: "gradient", name }} shape={shape} label={`gradient of ${name}`} wide={WIDE} />
          </div>
        </div>
      ))}
    </>
  );
}

function ownsParameter(node: Item["node"], name: string | undefined): boolean {
  return node.parameters.some((parameter) => parameter.name === name);
}

function isFirst(item: Item): boolean {
  return item.within.at(-1)!.endsWith(` from ${item.members[0]!.name}`);
}
