import { roughly } from "../draw/figures";
import { ravel } from "../draw/geometry";
import { keyOf } from "../page";
import { bytesOf, unpack, type Packed } from "./packed";
import type { Cell, Link, Model, Source, State, Tensor, TensorRef } from "./types";

interface Data {
  format: number;
  model: Model;
  state: State;
  tensors: Record<string, Packed>;
  cells: Record<string, Cell>;
}

/** A hand-out: one sample, with its numbers inside the page. */
export class Handout implements Source {
  readonly live = null;

  private readonly places = new Map<string, number[][]>();

  private constructor(private readonly data: Data) {
    for (const key of Object.keys(data.cells)) {
      const [what, node, index, sample] = key.split(" ") as [string, string, string, string?];
      if (sample || !index) continue;
      const array = `${what} ${node}`;
      this.places.set(array, [...(this.places.get(array) ?? []), index.split(",").map(Number)]);
    }
  }

  static async read(text: string): Promise<Handout> {
    const stream = new Blob([bytesOf(text.trim())]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Handout(JSON.parse(await new Response(stream).text()) as Data);
  }

  model = () => Promise.resolve(this.data.model);
  state = () => Promise.resolve(this.data.state);

  tensor({ what, name }: TensorRef): Promise<Tensor> {
    const packed = this.data.tensors[`${what} ${name}`];
    return packed
      ? Promise.resolve(unpack(packed))
      : Promise.reject(new Error(`${name} is too large for a hand-out; open the network with pellucid explore`));
  }

  held({ what, name }: TensorRef): number[][] | null {
    if (given(what, name)) return null;
    const array = `${what} ${name}`;
    const places = this.places.get(array) ?? [];
    const size = this.data.tensors[array]?.shape.reduce((a, b) => a * b, 1);
    return places.length === size ? null : places;
  }

  async cell(link: Link): Promise<Cell> {
    const cell = this.data.cells[keyOf(link) + (link.sample ? ` ${link.sample}` : "")];
    return cell ?? this.withoutSum(link);
  }

  /** A hand-out has no room for the sum of every cell; of the others it shows the number and the formula. */
  private async withoutSum(link: Link): Promise<Cell> {
    const { what, node, index, sample } = link;
    const packed = this.data.tensors[`${what} ${node}`];
    if (!packed || sample) throw new Error("This hand-out has no room for this number. It opens in pellucid explore.");
    const { shape, data, step } = unpack(packed);
    const formula = what === "value" ? this.data.model.nodes.find((n) => n.name === node)?.formula : null;
    const found = data[ravel(index, shape)]!;
    const value = step ? roughly(found, step) : found;
    return {
      ...link, value, total: value, symbol: SYMBOLS[what] ?? "y", by: node, formula: formula?.forward ?? "", source: formula?.source ?? "",
      numbers: "", terms: [], omitted: 0, omitted_sum: 0, outer: null, reads: [],
      notes: given(what, node) ? [] : [
        "This hand-out has no room for the sum behind this cell. It opens in pellucid explore; here, those with a dot do." +
          (step ? " The number is rounded as well." : ""),
      ],
    };
  }
}

/** Tell whether numbers come from nowhere: there is then no sum behind them. */
function given(what: Link["what"], node: string): boolean {
  return what === "parameter" || (what === "value" && node === "input");
}

const SYMBOLS: Partial<Record<Link["what"], string>> = {
  delta: "\\delta", parameter: "w", gradient: "\\frac{\\partial J}{\\partial w}",
};
