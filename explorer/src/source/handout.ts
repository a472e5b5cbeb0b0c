import { ravel } from "../draw/geometry";
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

  private constructor(private readonly data: Data) {}

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

  async cell(link: Link): Promise<Cell> {
    const { what, node, index, sample } = link;
    const cell = this.data.cells[`${what} ${node} ${index.join(",")}${sample ? ` ${sample}` : ""}`];
    return cell ?? this.withoutSum(link);
  }

  /** A hand-out has no room for the sum of every cell; of the others it shows the number and the formula. */
  private async withoutSum(link: Link): Promise<Cell> {
    const { what, node, index, sample } = link;
    const packed = this.data.tensors[`${what} ${node}`];
    if (!packed || sample) throw new Error("this hand-out does not hold this number");
    const { shape, data } = unpack(packed);
    const formula = what === "value" ? this.data.model.nodes.find((n) => n.name === node)?.formula : null;
    const value = data[ravel(index, shape)]!;
    return {
      ...link, value, total: value, symbol: SYMBOLS[what] ?? "y", by: node, formula: formula?.forward ?? "", source: formula?.source ?? "",
      numbers: "", terms: [], omitted: 0, omitted_sum: 0, outer: null, reads: [],
      notes: ["A hand-out holds the sums of the strongest cells. This one's opens in pellucid explore."],
    };
  }
}

const SYMBOLS: Partial<Record<Link["what"], string>> = {
  delta: "\\delta", parameter: "w", gradient: "\\frac{\\partial J}{\\partial w}",
};
