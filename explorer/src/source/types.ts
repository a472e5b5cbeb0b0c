/** What the page knows of a network: the JSON of docs/explorer-api.md. */

export type What = "value" | "delta" | "parameter" | "gradient";

export interface Formula {
  forward: string;
  backward: Record<string, string>;
  source: string;
}

export interface Parameter {
  name: string;
  key: string;
  shape: number[];
}

export interface Node {
  name: string;
  kind: string;
  settings: Record<string, unknown>;
  inputs: string[];
  shape: number[];
  stage: number;
  block: string | null;
  random: boolean;
  parameters: Parameter[];
  formula: Formula | null;
}

export interface Model {
  name: string;
  dtype: string;
  engine: string;
  input: { shape: number[]; mean: unknown };
  classes: string[];
  data: { name: string; train: number; test: number } | null;
  loss: { kind: string; settings: Record<string, unknown>; formula: Formula | null };
  /** what one can train with, by its own learning rate */
  optimizers: Record<string, number>;
  nodes: Node[];
  stages: { title: string; nodes: string[] }[];
}

export type Split = "test" | "train";

export interface State {
  revision: number;
  sample: { source: "data" | "drawing" | "image" | "made up"; split: Split | null; index: number | null; label: number };
  mode: { training: boolean; batch: number };
  loss: number | null;
  prediction: { probabilities: (number | null)[]; best: number };
  target: number[];
}

/** Which numbers: what a node computed, its δ, a parameter, or a parameter's gradient. */
export interface TensorRef {
  what: What;
  name: string;
  /** [from, to) along the first dimension; all of it if left out */
  channels?: [number, number];
}

/** The name of one number; see the table in src/pellucid/explain/cell.py. */
export interface Link {
  node: string;
  what: What | "share" | "state" | "inner" | "prediction" | "target" | "weight" | "partition" | "sample_loss" | "loss";
  index: number[];
  /** which sample of the batch; null for what all samples share */
  sample: number | null;
}

/** A number that may be NaN or infinite, which JSON cannot say. */
export type Figure = number | "nan" | "inf" | "-inf" | null;

export interface Tensor {
  shape: number[];
  data: Float32Array;
  /** of the finite numbers; 0 if there are none */
  min: number;
  max: number;
  /** what the numbers are rounded to; 0 if they are not */
  step: number;
}

export interface Factor {
  /** LaTeX */
  label: string;
  value: Figure;
  /** the value in LaTeX, or the function with its argument's number in it */
  shown: string;
  link: Link | null;
  /** the number at the link, if the factor is a function of it */
  argument: Figure;
}

export interface Term {
  value: Figure;
  factors: Factor[];
}

/** From, to and step along one dimension. */
export type Range = [number, number, number];

export interface Region {
  node: string;
  what: "value" | "delta";
  sample: number | null;
  ranges: Range[];
}

/** One number opened into the formula and the numbers it comes from: pellucid.explain.cell.Cell. */
export interface Cell extends Link {
  value: Figure;
  symbol: string;
  by: string;
  formula: string;
  source: string;
  numbers: string;
  terms: Term[];
  omitted: number;
  omitted_sum: Figure;
  outer: string | null;
  total: Figure;
  reads: Region[];
  notes: string[];
}

export interface Nudge {
  tensor: string;
  index: number[];
  value: number;
  loss: number;
  gradient: number;
  values: number[];
  losses: (number | null)[];
  predicted: (number | null)[];
  check: { numeric: number; error: number; kink: boolean };
}

export interface Measured {
  step: number;
  loss: number | null;
  accuracy: number | null;
}

export interface Training {
  revision: number;
  running: boolean;
  step: number;
  /** as last asked; null before */
  optimizer: string | null;
  learning_rate: number | null;
  batch_size: number | null;
  points: Measured[];
  held: Measured[];
  stopped: string | null;
}

export interface Gallery {
  split: Split;
  start: number;
  total: number;
  labels: number[];
  shape: number[];
  pixels: Uint8Array;
}

export interface Picture {
  width: number;
  height: number;
  channels: 1 | 3;
  pixels: Uint8Array;
}

/** Where the numbers come from: a server, or the data inside a hand-out. */
export interface Source {
  model(): Promise<Model>;
  state(): Promise<State>;
  tensor(ref: TensorRef): Promise<Tensor>;
  cell(link: Link): Promise<Cell>;
  /** Return which cells of an array open into their sums; null if all of them do. */
  held(of: TensorRef): number[][] | null;
  /** What only a server can do; null in a hand-out. */
  readonly live: Live | null;
}

export interface Live {
  pick(split: Split, index: number): Promise<State>;
  label(label: number): Promise<State>;
  drawing(picture: Picture): Promise<State>;
  image(file: Blob): Promise<State>;
  mode(training: boolean, batch: number): Promise<State>;
  gallery(split: Split, start: number, count: number): Promise<Gallery>;
  nudge(tensor: string, index: number[], span: number): Promise<Nudge>;
  training(since: number): Promise<Training>;
  run(steps: number | null, optimizer: string, learningRate: number, batchSize: number): Promise<Training>;
  pause(): Promise<Training>;
  reset(): Promise<Training>;
  save(): Promise<Blob>;
  handout(): Promise<Blob>;
}
