import { useState } from "preact/hooks";
import { figure } from "../draw/figures";
import { usePage } from "../page";
import { Drawing } from "./drawing";
import { GalleryPanel } from "./gallery";
import { Probabilities } from "./probabilities";

type Way = "sample" | "draw";

/** What the network looks at, what it should say, and what it says. */
export function InputPanel() {
  const { source, model, state, changed, fail } = usePage();
  const [way, setWay] = useState<Way>(model.data ? "sample" : "draw");
  const [over, setOver] = useState(false);
  const { live } = source;
  const image = model.input.shape.length === 3;
  const drop = (file: File | undefined) => file && live?.image(file).then(changed, fail);
  return (
    <section
      class={`input${over ? " over" : ""}`}
      aria-label="input"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void drop(event.dataTransfer?.files[0]);
      }}
    >
      <h2>Input</h2>
      <p class="aside" data-revision={state.revision}>{whereFrom(state.sample)}</p>
      {live && image && (
        <>
          <div class="tabs" role="group" aria-label="way of giving an input">
            {model.data && <button aria-pressed={way === "sample"} onClick={() => setWay("sample")}>Pick</button>}
            <button aria-pressed={way === "draw"} onClick={() => setWay("draw")}>Draw</button>
            <label class="button">
              Picture…
              <input type="file" accept="image/*" class="hidden-file" onChange={(event) => void drop(event.currentTarget.files?.[0])} />
            </label>
          </div>
          {way === "draw" ? <Drawing onDone={(picture) => live.drawing(picture).then(changed, fail)} /> : <GalleryPanel />}
        </>
      )}
      {live && model.classes.length > 0 && (
        <p class="row">
          <label for="label">label</label>
          <select id="label" value={String(state.sample.label)} onChange={(event) => void live.label(Number(event.currentTarget.value)).then(changed, fail)}>
            {model.classes.map((name, k) => <option value={String(k)}>{name}</option>)}
          </select>
        </p>
      )}
      {live && <Mode />}
      <h3>Prediction</h3>
      <Probabilities />
      <p class="aside">loss J = <output data-loss>{figure(state.loss, 6)}</output></p>
    </section>
  );
}

function whereFrom(sample: { source: string; split: string | null; index: number | null }): string {
  if (sample.source === "data") return `${sample.split === "train" ? "training" : "test"} sample ${sample.index}`;
  return { drawing: "a drawing", image: "a picture of yours", "made up": "made up of noise" }[sample.source] ?? sample.source;
}

/** Batch norm and dropout behave otherwise while training; show either. */
function Mode() {
  const { source, model, state, changed, fail } = usePage();
  const differs = model.nodes.some((node) => node.random || node.kind.startsWith("BatchNorm"));
  if (!differs || !source.live) return null;
  const { live } = source;
  const { training, batch } = state.mode;
  return (
    <div class="choice">
      <label class="choice">
        <input type="checkbox" checked={training} onChange={(e) => void live.mode(e.currentTarget.checked, batch).then(changed, fail)} />
        as while training
      </label>
      {model.data && (
        <label class="choice">
          in a batch of
          <input
            type="number" min="1" max="32" value={batch}
            onChange={(e) => void live.mode(training, Number(e.currentTarget.value)).then(changed, fail)}
          />
        </label>
      )}
    </div>
  );
}
