import { figure, numberOf, percent } from "../draw/figures";
import { usePage } from "../page";

const MANY = 12;

/** The prediction, class by class; a click opens where a probability comes from. */
export function Probabilities() {
  const { model, state, open } = usePage();
  const { probabilities, best } = state.prediction;
  const share = model.loss.kind !== "SquaredError";
  const order = probabilities.map((_, k) => k);
  const shown = probabilities.length <= MANY
    ? order
    : order.sort((a, b) => numberOf(probabilities[b]!) - numberOf(probabilities[a]!)).slice(0, MANY);
  const top = share ? 1 : Math.max(...probabilities.map((p) => Math.abs(numberOf(p))), 1e-9);
  return (
    <ol class="probabilities">
      {shown.map((k) => (
        <li key={k} class={k === best ? "best" : ""}>
          <button
            class="quiet" data-class={k} data-probability={String(probabilities[k])}
            onClick={() => open({ node: "loss", what: "prediction", index: [k], sample: 0 })}
          >
            <span class="class">{model.classes[k] ?? k}</span>
            <span class="bar"><i style={{ width: `${Math.abs(numberOf(probabilities[k]!) / top) * 100}%` }} /></span>
            <span class="number">{share ? percent(probabilities[k]!) : figure(probabilities[k]!)}</span>
            <span class="target" title="the label">{state.target[k] ? "◂" : ""}</span>
            {state.target[k] ? <span class="unseen">the label</span> : null}
          </button>
        </li>
      ))}
    </ol>
  );
}
