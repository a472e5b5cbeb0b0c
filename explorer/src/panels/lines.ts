/**
 * Return ways to set a formula, from the widest to the narrowest: as it is; its equations one below the other; every
 * right-hand side on a line of its own; long brackets on the line after what stands before them.
 */
export function forms(tex: string): string[] {
  const equations = split(tex, /^,\\quad */);
  const commas = equations.map((equation, i) => (i < equations.length - 1 ? `${equation},` : equation));
  const sides = commas.map((equation) => {
    const [left, ...right] = split(equation, /^=/);
    return { left: left!, right: right.join("=") };
  });
  const aligned = (join: (left: string, right: string) => string) =>
    `\\begin{aligned}${sides.map(({ left, right }) => (right ? join(left, right) : left)).join("\\\\[0.5em]")}\\end{aligned}`;
  const inBrackets = (right: string) => split(right, /^(?=\\left\[)/).join("\\\\&\\qquad ");
  const ways = [
    tex,
    aligned((left, right) => `${left}&=${right}`),
    aligned((left, right) => `&${left}\\\\&\\quad=${right}`),
    aligned((left, right) => `&${left}\\\\&\\quad=${inBrackets(right)}`),
  ];
  return [...new Set(ways)];
}

const OPENING = new Set(["{", "\\left", "\\begin"]);
const CLOSING = new Set(["}", "\\right", "\\end"]);

/** Split at what matches outside of braces, brackets that grow, and environments. */
function split(tex: string, mark: RegExp): string[] {
  const parts = [""];
  for (let at = 0, depth = 0; at < tex.length; ) {
    const rest = tex.slice(at);
    const found = depth === 0 && at > 0 ? mark.exec(rest) : null;
    if (found) parts.push("");
    const token = found?.[0] || /^(\\[a-zA-Z]+|\\.|[^])/.exec(rest)![0];
    if (OPENING.has(token)) depth++;
    if (CLOSING.has(token)) depth--;
    if (!found?.[0]) parts[parts.length - 1] += token;
    at += token.length;
  }
  return parts;
}
