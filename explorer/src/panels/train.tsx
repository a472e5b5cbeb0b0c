import { useEffect, useRef, useState } from "preact/hooks";
import { figure, percent } from "../draw/figures";
import { usePage } from "../page";
import type { Measured, Training } from "../source/types";
import { offer } from "./offer";
import { Plot } from "./plot";

const OFTEN = 350;

/** Run, pause, one step, reset; the curves and everything else on the page follow. */
export function TrainPanel() {
  const { source, model, changed, fail } = usePage();
  const live = source.live!;
  const [training, setTraining] = useState<Training | null>(null);
  const [points, setPoints] = useState<Measured[]>([]);
  const [optimizer, setOptimizer] = useState("sgd");
  const [rate, setRate] = useState(String(model.optimizers[optimizer]));
  const [size, setSize] = useState("32");
  const last = useRef(0);

  const take = (answer: Training, fresh = false) => {
    if (fresh || answer.step < last.current) last.current = 0;
    const since = last.current;
    setPoints((before) => [...(since === 0 ? [] : before), ...answer.points.filter((p) => p.step > since)]);
    last.current = answer.points.at(-1)?.step ?? since;
    setTraining(answer);
  };
  const follow = async (answer: Promise<Training>, fresh = false) => {
    try {
      const told = await answer;
      changed(await source.state());
      take(told, fresh);
    } catch (error) {
      fail(error);
    }
  };
  useEffect(() => void follow(live.training(0), true), []);
  useEffect(() => {
    if (!training?.running) return;
    const timer = setTimeout(() => void follow(live.training(last.current)), OFTEN);
    return () => clearTimeout(timer);
  }, [training]);

  const run = (steps: number | null) => void follow(live.run(steps, optimizer, Number(rate), Number(size)));
  const choose = (name: string) => {
    setOptimizer(name);
    setRate(String(model.optimizers[name]));
  };
  const running = training?.running ?? false;
  return (
    <section class="train">
      <div class="row">
        <label>
          optimizer
          <select value={optimizer} onChange={(e) => choose(e.currentTarget.value)}>
            {Object.keys(model.optimizers).map((name) => <option value={name}>{name}</option>)}
          </select>
        </label>
        <label>learning rate <input type="number" min="0" step="any" value={rate} onInput={(e) => setRate(e.currentTarget.value)} /></label>
        <label>batch size <input type="number" min="1" step="1" value={size} onInput={(e) => setSize(e.currentTarget.value)} /></label>
      </div>
      <div class="row">
        {running
          ? <button onClick={() => void follow(live.pause().then(() => live.training(last.current)))}>Pause</button>
          : <button onClick={() => run(null)}>Run</button>}
        <button disabled={running} onClick={() => run(1)}>One step</button>
        <button disabled={running} onClick={() => run(20)}>20 steps</button>
        <button onClick={() => void follow(live.reset(), true)}>Reset</button>
        <button disabled={running} onClick={() => void live.save().then((file) => offer(file, `${model.name}.safetensors`), fail)}>Save</button>
      </div>
      <p class="aside" role="status" data-step={training?.step ?? 0}>
        {training && summary(training, points)}
      </p>
      {training?.stopped && <p class="note" role="alert">{training.stopped}</p>}
      {points.length > 0 && training && (
        <>
          <Plot x="step" y="loss J" series={[
            { label: "loss of the batch", style: "line", tone: "blue", points: points.map((p) => [p.step, p.loss]) },
            { label: "of test samples", style: "dots", tone: "orange", points: training.held.map((p) => [p.step, p.loss]) },
          ]} />
          <Plot x="step" y="accuracy" from={0} series={[
            { label: "accuracy of the batch", style: "line", tone: "blue", points: points.map((p) => [p.step, p.accuracy]) },
            { label: "of test samples", style: "dots", tone: "orange", points: training.held.map((p) => [p.step, p.accuracy]) },
          ]} />
        </>
      )}
    </section>
  );
}

function summary({ step, held }: Training, points: Measured[]): string {
  const [batch, test] = [points.at(-1), held.at(-1)];
  const loss = batch ? `, loss ${figure(batch.loss)}` : "";
  if (test?.accuracy == null) return `step ${step}${loss}`;
  return `step ${step}${loss}; ${percent(test.accuracy)} of test samples right${test.step === step ? "" : ` at step ${test.step}`}`;
}
