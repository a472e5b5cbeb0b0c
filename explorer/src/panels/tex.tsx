import katex from "katex";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { forms } from "./lines";

/** A formula in the text. What KaTeX does not know is shown as it is written. */
export function Tex({ of }: { of: string }) {
  const html = useMemo(() => set(of, false), [of]);
  return <span dangerouslySetInnerHTML={{ __html: html }} />;
}

/** A formula on lines of its own: on as few as its column has room for; what is wider still can be scrolled. */
export function DisplayedTex({ of }: { of: string }) {
  const box = useRef<HTMLDivElement>(null);
  const ways = useMemo(() => forms(of), [of]);
  const [way, setWay] = useState({ of, number: 0 });
  const number = way.of === of ? way.number : 0;
  const html = useMemo(() => set(ways[number]!, true), [ways, number]);
  useLayoutEffect(() => {
    let current = true;
    const measure = () => {
      if (!current || box.current!.scrollWidth <= box.current!.clientWidth || number + 1 >= ways.length) return;
      setWay({ of, number: number + 1 });
    };
    measure();
    void document.fonts.ready.then(measure); // the letters may still be those of another font
    return () => void (current = false);
  }, [html]);
  useLayoutEffect(() => {
    let width = box.current!.clientWidth;
    const watcher = new ResizeObserver(([entry]) => {
      if (Math.abs(entry!.contentRect.width - width) < 1) return;
      width = entry!.contentRect.width;
      setWay({ of, number: 0 });
    });
    watcher.observe(box.current!);
    return () => watcher.disconnect();
  }, [of]);
  return <div ref={box} class="display" tabIndex={0} role="group" aria-label="formula" dangerouslySetInnerHTML={{ __html: html }} />;
}

function set(tex: string, displayMode: boolean): string {
  return katex.renderToString(tex, { displayMode, throwOnError: false, output: "htmlAndMathml", strict: false });
}
