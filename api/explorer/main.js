// The explorer: the frame of the page and the view that its address names.

import { address, followLinks, go, usePlace } from "./addresses.js";
import { token, useToken } from "./graphql.js";
import { html, render, useEffect, useRef, useState } from "./vendor/preact.js";
import { Circuit } from "./views/circuit.js";
import { Circuits } from "./views/circuits.js";
import { Compare } from "./views/compare.js";
import { Contrast } from "./views/contrast.js";
import { Evidence } from "./views/evidence.js";
import { FeaturePage } from "./views/feature.js";
import { Missing } from "./views/missing.js";
import { Modules } from "./views/modules.js";
import { JobPage, Request } from "./views/request.js";
import { Search } from "./views/search.js";
import { Start } from "./views/start.js";

/** @type {Record<string, any>} */
const VIEWS = {
  start: Start, search: Search, circuits: Circuits, circuit: Circuit, feature: FeaturePage, compare: Compare,
  contrast: Contrast, modules: Modules, evidence: Evidence, request: Request, job: JobPage, missing: Missing,
};

const LINKS = /** @type {[string, string][]} */ ([
  ["circuits", "Circuits"], ["contrast", "Contrast"], ["modules", "Modules"], ["evidence", "Evidence"], ["request", "New circuit"],
]);

function Explorer() {
  const place = usePlace(), view = VIEWS[place.view];
  const main = useRef(/** @type {HTMLElement|null} */ (null)), opened = useRef(place.key);
  useEffect(() => {
    if (opened.current === place.key) return;
    opened.current = place.key;
    window.scrollTo(0, 0);
    main.current?.querySelector("h1")?.focus({ preventScroll: true });
  }, [place.key]);
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="/"><img src="/explorer/icon.svg" alt="" width="22" height="22" />Circuit atlas</a>
      <nav aria-label="Views">${LINKS.map(([name, text]) => html`<a key=${name} href=${address(name)} aria-current=${place.view === name ? "page" : null}>${text}</a>`)}</nav>
      <${SearchBox} place=${place} />
      <div class="tools">
        <a href="/graphql" target="_blank" rel="noopener" title="Write GraphQL queries">GraphiQL</a>
        <${TokenBox} /><${ThemeSwitch} />
      </div>
    </header>
    <main id="main" tabindex="-1" ref=${main}><${view} key=${place.key} place=${place} /></main>`;
}

/** One box for prompts, tokens, labels and supernodes. */
function SearchBox(/** @type {{place: import("./addresses.js").Place}} */ { place }) {
  const [text, setText] = useState(place.params.get("text") ?? "");
  useEffect(() => {
    if (place.view === "search") setText(place.params.get("text") ?? "");
  }, [place]);
  return html`<form class="search" role="search" onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    if (text.trim()) go(address("search", [], { text: text.trim() }));
  }}>
    <input type="search" name="text" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)}
      placeholder="Search prompts, tokens, labels, supernodes" aria-label="Search prompts, tokens, labels and supernodes" />
    <button type="submit">Search</button>
  </form>`;
}

/** Where the token of a server with --token-file is given. */
function TokenBox() {
  const value = useToken(), menu = useRef(/** @type {HTMLDetailsElement|null} */ (null));
  const [text, setText] = useState(value);
  const close = () => { if (menu.current) menu.current.open = false; };
  return html`<details class="menu" ref=${menu} onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") close(); }}>
    <summary>${value ? "Token ✓" : "Token"}</summary>
    <form class="token" onSubmit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      token.value = text.trim();
      close();
    }}>
      <label>Token of the server <input type="password" autocomplete="off" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label>
      <p class="quiet">A server with --token-file needs it to write, and to read. This tab keeps it until it is closed.</p>
      <button type="submit">${text ? "Use" : "Forget"}</button>
    </form>
  </details>`;
}

const THEMES = ["system", "light", "dark"];

function ThemeSwitch() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? "system");
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  return html`<button type="button" class="plain" title=${`Colours: ${theme}. Change to ${next}.`} aria-label=${`Colours: ${theme}. Change to ${next}.`} onClick=${() => {
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "system") localStorage.removeItem("atlas.theme");
      else localStorage.setItem("atlas.theme", next);
    } catch {
      // The browser keeps nothing for this page.
    }
    setTheme(next);
    dispatchEvent(new Event("atlas:theme"));
  }}>${{ system: "◐", light: "☀", dark: "☾" }[theme]}</button>`;
}

followLinks();
const root = /** @type {HTMLElement} */ (document.getElementById("explorer"));
root.textContent = "";
render(html`<${Explorer} />`, root);
