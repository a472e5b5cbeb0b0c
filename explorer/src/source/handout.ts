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

  cell({ what, node, index }: Link): Promise<Cell> {
    const cell = this.data.cells[`${what} ${node} ${index.join(",")}`];
    return cell
      ? Promise.resolve(cell)
      : Promise.reject(new Error("this hand-out does not hold the sum of this cell; it has those of the strongest cells"));
  }
}
