import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

/** Tell whether an element is on the screen, or nearly; what is not need not be fetched. */
export function useSeen(element: RefObject<Element | null>): boolean {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const watcher = new IntersectionObserver((entries) => setSeen(entries.at(-1)!.isIntersecting), { rootMargin: "300px" });
    watcher.observe(element.current!);
    return () => watcher.disconnect();
  }, []);
  return seen;
}
