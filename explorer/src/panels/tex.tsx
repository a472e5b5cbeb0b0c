import katex from "katex";
import { useMemo } from "preact/hooks";

/** A formula, set. What KaTeX does not know is shown as it is written. */
export function Tex({ of, display = false }: { of: string; display?: boolean }) {
  const html = useMemo(
    () => katex.renderToString(of, { displayMode: display, throwOnError: false, output: "htmlAndMathml", strict: false }),
    [of, display],
  );
  const set = { dangerouslySetInnerHTML: { __html: html } };
  return display ? <div class="display" tabIndex={0} role="group" aria-label="formula" {...set} /> : <span {...set} />;
}
