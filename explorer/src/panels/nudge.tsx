import { useEffect, useState } from "preact/hooks";
import { figure } from "../draw/figures";
import { messageOf, nameOf, usePage } from "../page";
import type { Link, Nudge } from "../source/types";
import { Plot } from "./plot";

/** Change one weight or pixel: the loss that the gradient predicts, against the true one. */
export function NudgePanel() {
  const { source, model, opened, state } = usePage();
  const [span, setSpan] = useState(1);
  const [place, setPlace] = useState<number | null>(null);
  const [nudge, setNudge] = useState<Nudge | null>(null);
  const [refusal, setRefusal] = useState<string | null>(null);
  const [waiting, setWaiting] = useState(false);
  const link = opened && nudged(opened.link);
  const key = link ? `${link.node} ${link.index.join()}` : "";

  useEffect(() => {
    if (!link || !source.live) return;
    let current = true;
    setRefusal(null);
    setWaiting(true);
    source.live.nudge(link.node, link.index, span).then(
      (found) => current && (setNudge(found), setPlace(null), setWaiting(false)),
      (error: unknown) => current && (setRefusal(messageOf(error)), setWaiting(false)),
    );
    return () => void (current = false);
  }, [key, span, state.revision]);

  if (!link) return <p class="aside">Choose a weight (under <em>parameters</em>) or a pixel of the input, and move it here.</p>;
  if (refusal) return <p class="aside" role="alert">{refusal}</p>;
  if (!nudge || nudge.tensor !== link.node || String(nudge.index) !== String(link.index)) {
    return <section class="nudge" aria-busy="true"><h2 class="cell-name">{nameOf(model, link)}</h2><Waiting /></section>;
  }
  const middle = (nudge.values.length - 1) / 2;
  const chosen = place ?? Math.round(middle);
  const pairs = (ys: (number | null)[]) => nudge.values.map((value, i) => [value, ys[i] ?? null] as const);
  const [true_, predicted] = [nudge.losses[chosen] ?? null, nudge.predicted[chosen] ?? null];
  return (
    <section class="nudge" aria-busy={waiting}>
      <h2 class="cell-name">{nameOf(model, link)}</h2>
      {waiting && <Waiting />}
      <Plot
        x="the entry's value" y="loss J" at={nudge.values[chosen]!}
        series={[
          { label: "true loss", style: "line", tone: "blue", points: pairs(nudge.losses) },
          { label: "predicted by the gradient", style: "dashed", tone: "orange", points: pairs(nudge.predicted) },
        ]}
      />
      <label class="slider">
        <span>value <output>{figure(nudge.values[chosen]!)}</output></span>
        <input
          type="range" disabled={waiting} min={0} max={nudge.values.length - 1} value={chosen}
          aria-valuetext={`value ${figure(nudge.values[chosen]!)}, true loss ${figure(true_)}, predicted ${figure(predicted)}`}
          onInput={(event) => setPlace(Number(event.currentTarget.value))}
        />
      </label>
      <label class="slider">
        <span>range ±</span>
        <select value={String(span)} onChange={(event) => setSpan(Number(event.currentTarget.value))}>
          {[0.01, 0.1, 1, 10].map((s) => <option value={String(s)}>{s}</option>)}
        </select>
      </label>
      <table class="figures">
        <tbody>
          <tr><th scope="row">loss as it is</th><td>{figure(nudge.loss, 6)}</td></tr>
          <tr><th scope="row">predicted there</th><td>{figure(predicted, 6)}</td></tr>
          <tr><th scope="row">true loss there</th><td data-nudge="true">{figure(true_, 6)}</td></tr>
          <tr><th scope="row">gradient, by the formulas</th><td data-nudge="gradient">{figure(nudge.gradient, 6)}</td></tr>
          <tr><th scope="row">central difference</th><td>{figure(nudge.check.numeric, 6)}</td></tr>
          <tr><th scope="row">they differ by, relatively</th><td data-nudge="error">{figure(nudge.check.error, 2)}</td></tr>
        </tbody>
      </table>
      {nudge.check.kink && <p class="note">The loss has a kink here, where a derivative is one of its slopes.</p>}
    </section>
  );
}

function Waiting() {
  return (
    <p class="aside waiting" role="status">
      <progress aria-label="measuring" /> the network runs for every value
    </p>
  );
}

/** Return what a nudge of this cell moves: the parameter, also behind its gradient, or the pixel. */
export function nudged(link: Link): Link | null {
  if (link.what === "parameter" || link.what === "gradient") return { ...link, what: "parameter" };
  return link.node === "input" ? { ...link, what: "value" } : null;
}
