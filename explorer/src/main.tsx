import "katex/dist/katex.min.css";
import "./style.css";
import { render } from "preact";
import { App } from "./app";
import { messageOf } from "./page";
import { Handout } from "./source/handout";
import { Server } from "./source/server";

/** A hand-out has its data inside; an empty element means that there is a server to ask. */
async function start(): Promise<void> {
  const page = document.getElementById("page")!;
  const inside = document.getElementById("pellucid-handout")?.textContent?.trim();
  try {
    const source = inside ? await Handout.read(inside) : new Server();
    const [model, first] = await Promise.all([source.model(), source.state()]);
    document.title = `${model.name} – Pellucid`;
    render(<App source={source} model={model} first={first} />, page);
  } catch (error) {
    render(<p class="wrong" role="alert">The network cannot be shown: {messageOf(error)}</p>, page);
    throw error;
  }
}

void start();
