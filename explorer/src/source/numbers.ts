import type { Source, Tensor, TensorRef } from "./types";

/** The tensors of one revision, each asked for once. */
export class Numbers {
  private readonly asked = new Map<string, Promise<Tensor>>();

  constructor(
    private readonly source: Source,
    readonly revision: number,
  ) {}

  tensor(ref: TensorRef): Promise<Tensor> {
    const key = `${ref.what} ${ref.name} ${ref.channels?.join() ?? "all"}`;
    let tensor = this.asked.get(key);
    if (!tensor) this.asked.set(key, (tensor = this.source.tensor(ref)));
    return tensor;
  }
}
