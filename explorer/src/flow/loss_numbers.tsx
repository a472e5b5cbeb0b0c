import { useEffect, useState } from "preact/hooks";
import { figure } from "../draw/figures";
import { unravel } from "../draw/geometry";
import { keyOf, LOSS, nameOf, sameLink, usePage, WHOLE_LOSS } from "../page";
import type { Figure, Link, Tensor } from "../source/types";

/** entries of the loss's difference that are shown at most, the largest of more */
const MANY = 12;

/** The loss as the last card of the flow: J, and in *backward* its own difference, with which the way back begins. */
export function LossNumbers() {
  const { state, view } = usePage();
  return (
    <div class="loss">
      <Door link={WHOLE_LOSS} name="J" value={state.loss} digits={6} />
      {state.mode.batch > 1 && <Door link={{ node: LOSS, what: "sample_loss", index: [], sample: 0 }} name="ℓ of this sample" />}
      {view === "backward" && <Difference />}
    </div>
  );
}

/** ∂J/∂a of the last layer's outputs: for classes p − y, by the sample's weight. */
function Difference() {
  const { model, numbers, state, fail } = usePage();
  const [tensor, setTensor] = useState<Tensor | null>(null);
  const last = model.nodes.at(-1)!;
  useEffect(() => {
    let current = true;
    numbers.tensor({ what: "delta", name: last.name }).then((found) => current && setTensor(found), fail);
    return () => void (current = false);
  }, [numbers]);
  if (!tensor) return null;
  const size = (k: number) => Math.abs(tensor.data[k]!);
  const all = Array.from(tensor.data.keys());
  const shown = all.length <= MANY ? all : all.sort((a, b) => size(b) - size(a)).slice(0, MANY);
  return (
    <>
      <h4>its own difference, ∂J/∂ {last.name}</h4>
      <ol>
        {shown.map((k) => {
          const index = unravel(k, tensor.shape);
          const name = (index.length === 1 && model.classes[k]) || index.join(", ");
          return (
            <li key={k}>
              <Door link={{ node: last.name, what: "delta", index, sample: 0 }} name={name} value={tensor.data[k]!} />
              {state.target[k] && index.length === 1 ? <span class="target" title="the label">◂</span> : null}
            </li>
          );
        })}
      </ol>
    </>
  );
}

/** A number by its name; a click opens it. */
function Door({ link, name, value, digits }: { link: Link; name: string; value?: Figure; digits?: number }) {
  const { opened, open, model } = usePage();
  const chosen = opened !== null && sameLink(opened.link, link);
  return (
    <button
      class="door" aria-pressed={chosen} title={nameOf(model, link)} onClick={() => open(link)}
      data-door={keyOf(link)}
    >
      <span>{name}</span>
      {value !== undefined && <b>{figure(value, digits)}</b>}
    </button>
  );
}
