import { bytesOf, textOf, unpack, type Packed } from "./packed";
import type { Gallery, Link, Live, Picture, Source, Split, Tensor, TensorRef } from "./types";

/** An answer that is no answer: what the server said was wrong. */
export class Refused extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

interface Waiting {
  ref: TensorRef;
  done(tensor: Tensor): void;
  fail(error: unknown): void;
}

/** The server behind /api, with a session of this page's own. */
export class Server implements Source, Live {
  readonly live = this;
  private session: Promise<string> | null = null;
  private waiting: Waiting[] = [];

  model = () => this.get("model");
  state = () => this.get("state");
  pick = (split: Split, index: number) => this.post("sample", { split, index });
  label = (label: number) => this.post("label", { label });
  image = (file: Blob) => this.ask("image", { method: "POST", body: file, type: "application/octet-stream" }).then(json);
  mode = (training: boolean, batch: number) => this.post("mode", { training, batch });
  training = (since: number) => this.get(`train?since=${since}`);
  pause = () => this.post("train/pause");
  reset = () => this.post("train/reset");
  save = () => this.ask("save").then((answer) => answer.blob());
  handout = () => this.ask("handout").then((answer) => answer.blob());

  run = (steps: number | null, optimizer: string, learningRate: number, batchSize: number) =>
    this.post("train/run", { steps, optimizer, learning_rate: learningRate, batch_size: batchSize });

  nudge = (tensor: string, index: number[], span: number) => this.post("nudge", { tensor, index, span, points: 41 });

  held = () => null;

  cell = ({ node, what, index, sample }: Link) => {
    const which = sample === null ? "" : `&sample=${sample}`;
    return this.get(`cell?node=${encodeURIComponent(node)}&what=${what}&index=${index.join(",")}${which}`);
  };

  drawing = ({ pixels, ...picture }: Picture) => this.post("drawing", { ...picture, data: textOf(pixels) });

  async gallery(split: Split, start: number, count: number): Promise<Gallery> {
    const { data, ...rest } = await this.get(`gallery?split=${split}&start=${start}&count=${count}`);
    return { ...rest, pixels: bytesOf(data) };
  }

  /** Ask for an array; what is asked for in one turn of the page travels in one request. */
  tensor(ref: TensorRef): Promise<Tensor> {
    return new Promise((done, fail) => {
      this.waiting.push({ ref, done, fail });
      if (this.waiting.length === 1) queueMicrotask(() => this.fetchWaiting());
    });
  }

  private async fetchWaiting(): Promise<void> {
    const all = this.waiting.splice(0);
    for (let start = 0; start < all.length; start += 64) {
      const some = all.slice(start, start + 64);
      try {
        const answer = await this.post("tensors", { tensors: some.map(({ ref }) => ref) });
        some.forEach(({ done }, i) => done(unpack((answer.tensors as Packed[])[i]!)));
      } catch (error) {
        some.forEach(({ fail }) => fail(error));
      }
    }
  }

  private get = (path: string) => this.ask(path).then(json);

  private post = (path: string, body: unknown = {}) =>
    this.ask(path, { method: "POST", body: JSON.stringify(body), type: "application/json" }).then(json);

  private async ask(path: string, { type, ...init }: RequestInit & { type?: string } = {}, again = true): Promise<Response> {
    this.session ??= begin();
    const headers = { "X-Session": await this.session, ...(type ? { "Content-Type": type } : {}) };
    const answer = await fetch(`/api/${path}`, { ...init, headers });
    if (answer.ok) return answer;
    const refused = await refusal(answer);
    if (refused.type !== "UnknownSession" || !again) throw refused;
    this.session = null;
    return this.ask(path, { ...init, ...(type ? { type } : {}) }, false);
  }
}

async function begin(): Promise<string> {
  const answer = await fetch("/api/session", { method: "POST" });
  if (!answer.ok) throw await refusal(answer);
  return ((await answer.json()) as { session: string }).session;
}

// The one place where JSON gets its type: what the callers' return types say, which docs/explorer-api.md promises.
function json(answer: Response): Promise<any> {
  return answer.json();
}

async function refusal(answer: Response): Promise<Refused> {
  const text = await answer.text();
  try {
    const { error } = JSON.parse(text) as { error: { type: string; message: string } };
    return new Refused(error.type, error.message);
  } catch {
    return new Refused("Error", `the server answered ${answer.status}: ${text.slice(0, 200)}`);
  }
}
