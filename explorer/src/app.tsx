import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { figure } from "./draw/figures";
import { Flow } from "./flow/flow";
import {
  addressOf, linkAt, LOSS, messageOf, PageProvider, sameLink, viewOf, WHOLE_LOSS, type Opened, type Page, type View,
} from "./page";
import { InputPanel } from "./panels/input";
import { Inspector } from "./panels/inspector";
import { nudged, NudgePanel } from "./panels/nudge";
import { offer } from "./panels/offer";
import { TrainPanel } from "./panels/train";
import { Numbers } from "./source/numbers";
import type { Link, Model, Node, Source, State } from "./source/types";
import { useTheme } from "./theme";

type Panel = "cell" | "nudge" | "train";

const VIEWS: Record<View, string> = {
  forward: "what each layer computes",
  backward: "δ, how the loss changes with each number",
  parameters: "what is learned, and its gradient",
};

export function App({ source, model, first }: { source: Source; model: Model; first: State }) {
  const [theme, toggleTheme] = useTheme();
  const [state, setState] = useState(first);
  const [view, setView] = useState<View>("forward");
  const [trail, setTrail] = useState<Link[]>([]);
  const [opened, setOpened] = useState<Opened | null>(null);
  const [panel, setPanel] = useState<Panel>("cell");
  const [said, say] = useState("");
  const [wrong, setWrong] = useState<string | null>(null);
  const numbers = useMemo(() => new Numbers(source, state.revision), [state.revision]);
  const nodes = useMemo(() => withEnds(model), [model]);
  const link = trail.at(-1) ?? null;

  const open = useCallback((next: Link, walking = false) => {
    setTrail((before) => (before.length && sameLink(before.at(-1)!, next) ? before : walking ? [...before, next] : [next]));
    setPanel((before) => (before === "nudge" && !walking && nudged(next) ? "nudge" : "cell"));
    const seenIn = viewOf(next);
    if (seenIn) setView(seenIn);
  }, []);

  const back = (steps: number) => {
    const rest = trail.slice(0, -steps);
    setTrail(rest);
    const seenIn = rest.length ? viewOf(rest.at(-1)!) : null;
    if (seenIn) setView(seenIn);
  };

  const fail = useCallback((error: unknown) => setWrong(messageOf(error)), []);
  const changed = useCallback((next: State) => {
    setWrong(null);
    setState(next);
  }, []);

  useEffect(() => {
    const follow = () => {
      const asked = linkAt(location.hash);
      if (asked) open(asked);
    };
    follow();
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  useEffect(() => {
    if (link) history.replaceState(null, "", `#${addressOf(link)}`);
  }, [link]);

  const newest = useRef(0);
  useEffect(() => {
    const asked = ++newest.current;
    if (!link) return setOpened(null);
    setOpened((before) => ({ link, cell: before && sameLink(before.link, link) ? before.cell : null, refusal: null }));
    source.cell(link).then(
      (cell) => {
        if (asked !== newest.current) return;
        setOpened({ link, cell, refusal: null });
        say(`opened, value ${figure(cell.value)}, ${cell.terms.length + cell.omitted} terms`);
      },
      (error: unknown) => asked === newest.current && setOpened({ link, cell: null, refusal: messageOf(error) }),
    );
  }, [link, state.revision]);

  const page: Page = { source, model, nodes, state, numbers, view, theme, opened, open, changed, say, fail };
  const { live } = source;
  const panels: [Panel, string][] = [["cell", "Cell"]];
  if (live) panels.push(["nudge", "Nudge"]);
  if (live && model.data) panels.push(["train", "Train"]);
  return (
    <PageProvider value={page}>
      <header class="top">
        <h1>{model.name}</h1>
        <p class="aside facts">
          {model.nodes.length} layers{model.data ? `, ${model.data.name}` : ""}, loss {model.loss.kind}
        </p>
        <div class="tabs" role="group" aria-label="what the layers show">
          {(Object.keys(VIEWS) as View[]).map((v) => (
            <button key={v} aria-pressed={view === v} title={VIEWS[v]} onClick={() => setView(v)}>{v}</button>
          ))}
        </div>
        {live && (
          <button class="quiet" onClick={() => void live.handout().then((file) => offer(file, `${model.name}.html`), fail)}>
            hand-out
          </button>
        )}
        <button class="quiet" onClick={toggleTheme} aria-label={`use ${theme === "dark" ? "light" : "dark"} colours`}>
          {theme === "dark" ? "☀" : "☾"}
        </button>
      </header>
      {wrong && (
        <p class="wrong" role="alert">
          {wrong} <button class="quiet" onClick={() => setWrong(null)}>close</button>
        </p>
      )}
      <main>
        <InputPanel />
        <div class="middle">
          <p class="caption aside">
            {VIEWS[view]}{state.mode.batch > 1 ? `; sample 1 of a batch of ${state.mode.batch}` : ""}
            {!live && "; the cells with a dot open into their sums, and where no cell has one, all do"}
          </p>
          <Flow />
        </div>
        <aside class="side" aria-label="the opened cell, nudging and training">
          {panels.length > 1 && (
            <div class="tabs" role="group" aria-label="panel">
              {panels.map(([p, title]) => (
                <button key={p} aria-pressed={panel === p} onClick={() => setPanel(p)}>{title}</button>
              ))}
            </div>
          )}
          {panel === "cell" && (
            <>
              <Inspector trail={trail} onBack={back} onLoss={() => open(WHOLE_LOSS)} />
              {live && link && nudged(link) && <button onClick={() => setPanel("nudge")}>Nudge it</button>}
            </>
          )}
          {panel === "nudge" && <NudgePanel />}
          {panel === "train" && <TrainPanel />}
        </aside>
      </main>
      <p class="unseen" aria-live="polite">{said}</p>
    </PageProvider>
  );
}

/** Return the layers in running order, with what stands before and behind them. */
function withEnds(model: Model): Node[] {
  const end = { settings: {}, stage: -1, block: null, random: false, parameters: [], formula: null };
  return [
    { ...end, name: "input", kind: "Input", inputs: [], shape: model.input.shape },
    ...model.nodes,
    { ...end, name: LOSS, kind: model.loss.kind, inputs: [model.nodes.at(-1)!.name], shape: [] },
  ];
}
