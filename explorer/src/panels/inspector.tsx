import { useState } from "preact/hooks";
import { figure, numberOf } from "../draw/figures";
import { keyOf, nameOf, usePage } from "../page";
import type { Cell, Factor, Link, Term } from "../source/types";
import { DisplayedTex, Tex } from "./tex";

/** The opened cell: its formula in symbols, with its numbers, and every number a door to the next. */
export function Inspector({ trail, onBack, onLoss }: { trail: Link[]; onBack(steps: number): void; onLoss(): void }) {
  const { opened, model } = usePage();
  if (!opened) {
    return (
      <div class="opening">
        <p>
          Click any cell of any layer: the formula that made it appears here, with its numbers. Every number leads on to the
          cell that it came from.
        </p>
        <button onClick={onLoss}>Begin at the loss</button>
      </div>
    );
  }
  const { link, cell, refusal } = opened;
  return (
    <article class="inspector" aria-busy={!cell && !refusal} data-cell={keyOf(link)}>
      <Trail trail={trail} onBack={onBack} />
      <h2 class="cell-name">{nameOf(model, link)}</h2>
      {refusal && <p class="aside" role="alert">{refusal}</p>}
      {cell && <Opened cell={cell} />}
    </article>
  );
}

function Trail({ trail, onBack }: { trail: Link[]; onBack(steps: number): void }) {
  const { model } = usePage();
  if (trail.length < 2) return null;
  return (
    <nav class="trail" aria-label="the way here">
      <button class="quiet" onClick={() => onBack(1)}>← back</button>
      <ol>
        {trail.slice(0, -1).map((link, i) => (
          <li key={i}>
            <button class="quiet" onClick={() => onBack(trail.length - 1 - i)}>{nameOf(model, link)}</button>
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Opened({ cell }: { cell: Cell }) {
  const differs = Math.abs(numberOf(cell.total) - numberOf(cell.value)) > 1e-4 * Math.max(1e-6, Math.abs(numberOf(cell.value)));
  return (
    <>
      <p class="result">
        <Tex of={cell.symbol} /> = <output data-value={String(cell.value)}>{figure(cell.value, 6)}</output>
      </p>
      {cell.formula && (
        <section>
          <h3>The formula{cell.by && cell.by !== cell.node ? `, of ${cell.by}` : ""}</h3>
          <DisplayedTex of={cell.formula} />
          <p class="source">{cell.source}</p>
        </section>
      )}
      {cell.numbers && (
        <section>
          <h3>With its numbers</h3>
          <p class="numbers"><Tex of={cell.numbers} /></p>
        </section>
      )}
      {cell.notes.map((note) => <p class="note">{note}</p>)}
      {cell.terms.length > 0 && <Sum cell={cell} />}
      {differs && <p class="note">The terms come to {figure(cell.total, 8)}: what float32 rounds away in another order.</p>}
    </>
  );
}

const ROWS = 24;

function Sum({ cell }: { cell: Cell }) {
  const [all, setAll] = useState(false);
  const [sorted, setSorted] = useState(cell.terms.length > 9);
  const size = (term: Term) => Math.abs(numberOf(term.value)) || 0;
  const terms = sorted ? [...cell.terms].sort((a, b) => size(b) - size(a)) : cell.terms;
  const shown = all ? terms : terms.slice(0, ROWS);
  const top = Math.max(...terms.map(size), 1e-30);
  const count = cell.terms.length + cell.omitted;
  return (
    <section>
      <h3>{count === 1 ? "Its one term" : `Its ${count} terms`}</h3>
      {cell.terms.length > 2 && (
        <label class="choice">
          <input type="checkbox" checked={sorted} onChange={(event) => setSorted(event.currentTarget.checked)} /> largest first
        </label>
      )}
      <ol class="terms">
        {shown.map((term, i) => (
          <li key={i}>
            <span class="product">
              {term.factors.map((factor, f) => (
                <>
                  {f > 0 && <span class="times"> · </span>}
                  <FactorView factor={factor} />
                </>
              ))}
            </span>
            <span class="equals">{figure(term.value)}</span>
            <i class={numberOf(term.value) < 0 ? "share negative" : "share"} style={{ width: `${(60 * size(term)) / top}px` }} />
          </li>
        ))}
        {cell.omitted > 0 && (
          <li class="rest">
            <span class="product">{cell.omitted} smaller terms together</span>
            <span class="equals">{figure(cell.omitted_sum)}</span>
          </li>
        )}
        <li class="total">
          <span class="product">{cell.outer ? "by the function above" : "sum"}</span>
          <span class="equals" data-total={String(cell.total)}>{figure(cell.total, 6)}</span>
        </li>
      </ol>
      {terms.length > ROWS && (
        <button class="quiet" onClick={() => setAll(!all)}>{all ? "fewer" : `show all ${terms.length}`}</button>
      )}
    </section>
  );
}

function FactorView({ factor }: { factor: Factor }) {
  const { open, model } = usePage();
  const { link, label, value } = factor;
  const text = figure(value);
  const spelt = Number(label) === numberOf(value); // a constant whose symbol is the number itself
  if (!link) return <span class="factor">{!spelt && <Tex of={label} />} <b>{text}</b></span>;
  return (
    <button class="factor" onClick={() => open(link, true)} title={`${nameOf(model, link)} = ${figure(factor.argument ?? value)}`} data-link={keyOf(link)}>
      <Tex of={label} /> <b>{text}</b>
    </button>
  );
}
