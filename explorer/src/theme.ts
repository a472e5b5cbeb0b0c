import { useEffect, useState } from "preact/hooks";
import type { Theme } from "./draw/palette";

const KEY = "pellucid-theme";

/** The reader's choice if there is one, else the system's. */
export function useTheme(): [Theme, () => void] {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const [dark, setDark] = useState(system.matches);
  const [chosen, setChosen] = useState(kept());
  useEffect(() => {
    const follow = () => setDark(system.matches);
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, []);
  const theme: Theme = chosen ?? (dark ? "dark" : "light");
  useEffect(() => void (document.documentElement.dataset["theme"] = theme), [theme]);
  const toggle = () => {
    const next: Theme = theme === "dark" ? "light" : "dark";
    setChosen(next);
    keep(next);
  };
  return [theme, toggle];
}

function kept(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null; // a page opened from disk may have no storage: the choice then lasts as long as the page
  }
}

function keep(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    return; // as above
  }
}
