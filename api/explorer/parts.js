// Parts that the views share: panels with their query and their files, tables, links, contexts, and what went wrong.

import { address, change, stepsBack } from "./addresses.js";
import { shortLabel, shown } from "./drawing.js";
import { graphiql, useToken } from "./graphql.js";
import { saveCsv, saveJson, savePng, saveSvg, tableSvg } from "./saving.js";
import { html, useEffect, useRef, useState } from "./vendor/preact.js";

/** @typedef {import("./graphql.js").Answer} Answer */
/**
 * @typedef {{name: string, value: (row: any) => any, cell?: (row: any) => any, number?: boolean, help?: string}} Column
 * `value` goes into files, `cell` is shown; without `cell` the value is shown.
 */

export { shown };
export const percent = (/** @type {number|null|undefined} */ share) =>
  share === null || share === undefined ? "unknown" : `${shown(share * 100)} %`;
/** A number of things in words. @param {number} n @param {string} one @param {string} [many] */
export const counted = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** The colours of the page, for pictures. @returns {import("./drawing.js").Theme} */
export function pageTheme() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "quiet", "paper", "band", "feature", "error", "token", "logit", "positive", "negative", "flipped", "focus"];
  return /** @type {any} */ (Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])));
}

/** The colours of the page, whenever they change. */
export function usePageTheme() {
  const [theme, setTheme] = useState(pageTheme);
  useEffect(() => {
    const update = () => setTheme(pageTheme());
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", update);
    addEventListener("atlas:theme", update);
    return () => {
      dark.removeEventListener("change", update);
      removeEventListener("atlas:theme", update);
    };
  }, []);
  return theme;
}

/** Whether the window is as narrow as a phone. The style sheet has the same width. */
export function useNarrow() {
  const query = matchMedia("(max-width: 40rem)"), [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const update = () => setNarrow(query.matches);
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, []);
  return narrow;
}

/** Names the page in the tab and in the history. @param {string} title */
export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${title} · Circuit atlas` : "Circuit atlas";
  }, [title]);
}

/** The heading of a view. It takes the focus when the view opens, so that readers of the screen start there. */
export function Heading(/** @type {{children: any}} */ { children }) {
  return html`<h1 tabindex="-1" dir="auto">${children}</h1>`;
}

/** A message whose commands stand between backticks. @param {string} text */
const withCode = (text) => text.split("`").map((part, i) => (i % 2 ? html`<code key=${i}>${part}</code>` : part));

/** What a question waits for, or why it failed, with what to do. @param {{answer: Answer}} props */
export function Trouble({ answer }) {
  const { error, retryAt, again } = answer;
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!retryAt) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [retryAt]);
  if (!error) return null;
  const left = retryAt ? Math.max(0, Math.ceil((retryAt - now) / 1000)) : 0;
  const step = error.code === "UNAUTHORIZED" ? "give the token at the top of the page" : error.nextStep;
  return html`<div class="trouble" role="alert">
    <p><strong>${error.message}</strong>${step ? html` · ${withCode(step)}` : null}</p>
    <p class="quiet">${retryAt ? (left ? `The page asks again in ${left} s.` : "The page asks again now …") : null}
      ${answer.data ? " What is shown is the answer from before." : null}
      <button type="button" onClick=${again}>Ask again</button></p>
  </div>`;
}

/**
 * A panel: a heading, the query behind it, its files, and its content.
 * @param {{title: string, answer?: Answer|null, table?: {columns: Column[], rows: any[]}|null, picture?: (() => string)|null,
 *   file?: string, data?: any, note?: any, className?: string, children?: any, level?: number, quiet?: string[]}} props
 * quiet: codes of errors that say only that something was never computed. table: rows for CSV. picture: makes an SVG; without it the table is drawn. data: for JSON, else the answer's data.
 */
export function Panel({ title, answer = null, table = null, picture = null, file = title, data, note, className = "", children, level = 2, quiet = [] }) {
  const waiting = answer?.waiting ?? false, content = data ?? answer?.data ?? null;
  const heading = level === 2 ? html`<h2>${title}</h2>` : html`<h3>${title}</h3>`;
  return html`<section class=${`panel ${className}`} aria-busy=${waiting ? "true" : "false"} aria-label=${title}>
    <header>
      ${heading}
      <div class="tools">
        ${answer?.query && answer.asked ? html`<${QueryLink} answer=${answer} of=${title} />` : null}
        ${content ? html`<${Save} of=${title} file=${file} content=${content} table=${table} picture=${picture} />` : null}
      </div>
    </header>
    ${waiting ? html`<div class="progress" role="status"><span class="unseen">Asking …</span></div>` : null}
    ${answer?.error && quiet.includes(answer.error.code) ? html`<p class="quiet">${answer.error.message}${answer.error.nextStep ? html`: ${withCode(answer.error.nextStep)}` : null}</p>`
      : answer ? html`<${Trouble} answer=${answer} />` : null}
    ${note ? html`<p class="quiet note">${note}</p>` : null}
    <div class=${answer?.stale ? "stale" : ""}>${children}</div>
  </section>`;
}

/** Opens GraphiQL with the query of a panel. @param {{answer: Answer, of: string}} props */
export function QueryLink({ answer, of }) {
  return html`<a class="button" href=${graphiql(answer.query, answer.variables)} target="_blank" rel="noopener"
    aria-label=${`Query of ${of}`} title="Open GraphiQL with exactly the query behind this panel">Query</a>`;
}

/** The menu of files of a panel. @param {{of: string, file: string, content: any, table: {columns: Column[], rows: any[]}|null, picture: (() => string)|null}} props */
function Save({ of, file, content, table, picture }) {
  const menu = useRef(/** @type {HTMLDetailsElement|null} */ (null));
  useEffect(() => {
    const close = (/** @type {Event} */ event) => {
      if (menu.current?.open && !menu.current.contains(/** @type {Node} */ (event.target))) menu.current.open = false;
    };
    document.addEventListener("pointerdown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, []);
  const columns = table?.columns.map((each) => each.name) ?? [];
  const rows = () => table?.rows.map((row) => table.columns.map((each) => each.value(row))) ?? [];
  const svg = () => picture?.() ?? tableSvg(of, columns, rows(), pageTheme());
  const kinds = /** @type {[string, () => void][]} */ ([
    ...(table ? [["CSV", () => saveCsv(file, columns, rows())]] : []),
    ["JSON", () => saveJson(file, content)],
    ...(table || picture ? [["SVG", () => saveSvg(file, svg())], ["PNG", () => savePng(file, svg())]] : []),
  ]);
  const done = (/** @type {() => void} */ work) => () => {
    work();
    if (menu.current) menu.current.open = false;
  };
  return html`<details class="menu" ref=${menu} onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && menu.current) {
      menu.current.open = false;
      menu.current.querySelector("summary")?.focus();
      event.stopPropagation();
    }
  }}>
    <summary class="button" aria-label=${`Save ${of}`}>Save</summary>
    <ul>${kinds.map(([name, work]) => html`<li key=${name}><button type="button" onClick=${done(work)}>${name}</button></li>`)}</ul>
  </details>`;
}

/** A table. @param {{caption: string, columns: Column[], rows: any[], rowKey?: (row: any) => string, empty?: any, className?: string}} props */
export function Table({ caption, columns, rows, rowKey, empty = "Nothing.", className = "" }) {
  if (!rows.length) return html`<p class="quiet">${empty}</p>`;
  return html`<div class="scroll" role="region" aria-label=${caption} tabindex="0"><table class=${className}>
    <caption class="unseen">${caption}</caption>
    <thead><tr>${columns.map((each) => html`<th key=${each.name} scope="col" class=${each.number ? "number" : ""} title=${each.help ?? ""}>${each.name}</th>`)}</tr></thead>
    <tbody>${rows.map((row, r) => html`<tr key=${rowKey ? rowKey(row) : r}>${columns.map((each) => html`<td key=${each.name} class=${each.number ? "number" : ""}>${
      each.cell ? each.cell(row) : each.number ? shown(each.value(row)) : each.value(row)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

/** Leads through the pages of a list. The address holds the cursor, so that a page can be shared.
 * @param {{list: any, param?: string, shownRows: number}} props */
export function Pager({ list, param = "after", shownRows }) {
  const after = new URLSearchParams(location.search).get(param);
  const first = after ? placeOfCursor(after) + 2 : 1;
  if (!list.totalCount) return null;
  if (!list.pageInfo.hasNextPage && !after) return html`<p class="pager quiet">${counted(list.totalCount, "entry", "entries")}</p>`;
  return html`<nav class="pager" aria-label="Pages">
    <span class="quiet">${first.toLocaleString("en")}–${(first + shownRows - 1).toLocaleString("en")} of ${list.totalCount.toLocaleString("en")}</span>
    <button type="button" disabled=${!after} onClick=${() => change({ [param]: null })}>First</button>
    <button type="button" disabled=${!after || !stepsBack()} onClick=${() => history.back()}>Back</button>
    <button type="button" disabled=${!list.pageInfo.hasNextPage} onClick=${() => change({ [param]: list.pageInfo.endCursor })}>Next</button>
  </nav>`;
}

/** The place that a cursor names, or -1. The API says that cursors are opaque; this is only shown, never sent. */
function placeOfCursor(/** @type {string} */ cursor) {
  try {
    return Number(/^place:(\d+)$/.exec(atob(cursor.replace(/-/g, "+").replace(/_/g, "/")))?.[1] ?? -1);
  } catch {
    return -1;
  }
}

/** The first label of a feature in short, or its layer and index. @param {any} feature */
export const labelOf = (feature) => (feature.labels?.[0]?.text ? shortLabel(feature.labels[0].text) : `${feature.layer}/${feature.index}`);

/** Layer and index of a feature, which is its id without the transcoder set. @param {string} id */
export const shortId = (id) => id.split("/").slice(-2).join("/");

/** @param {{feature: any, params?: Record<string, any>}} props */
export function FeatureLink({ feature, params = {} }) {
  const text = feature.labels?.[0]?.text;
  return html`<a class="feature-link" href=${address("feature", feature.id, params)} title=${text ?? ""}><bdi>${
    text ? shortLabel(text) : "no label"}</bdi> <code>${shortId(feature.id)}</code></a>`;
}

/** @param {{circuit: any, params?: Record<string, any>, children?: any}} props */
export function CircuitLink({ circuit, params = {}, children }) {
  return html`<a href=${address("circuit", circuit.id, params)}><bdi class="prompt">${children ?? promptText(circuit)}</bdi></a>`;
}

/** The text of a circuit's prompt, cut where it is very long. @param {any} circuit */
export function promptText(circuit, most = 160) {
  const text = circuit.prompt.text;
  return text.length > most ? text.slice(0, most - 1) + "…" : text || "(empty prompt)";
}

/** An answer with its judgement: the sign says what the colour says. @param {{circuit: any}} props */
export function AnswerOf({ circuit }) {
  const sign = circuit.correct === null ? "" : circuit.correct ? "✓" : "✗";
  const words = circuit.correct === null ? "" : circuit.correct ? "right" : "wrong";
  return html`<span class=${`answer ${words}`}><bdi>${circuit.displayAnswer ?? "unknown"}</bdi>${
    sign ? html` <span role="img" aria-label=${words} title=${words}>${sign}</span>` : null}</span>`;
}

/** A bar for a number between 0 and `most`. @param {{value: number|null, most?: number, text?: string, className?: string}} props */
export function Meter({ value, most = 1, text, className = "" }) {
  const part = value === null || value === undefined ? 0 : Math.min(1, Math.max(0, Math.abs(value) / (most || 1)));
  return html`<span class=${`meter ${className}`}><span class="bar" aria-hidden="true"><span style=${{ width: `${part * 100}%` }}></span></span><span>${text ?? shown(value)}</span></span>`;
}

/** A signed number with a bar whose side and colour say the sign. @param {{value: number, most: number}} props */
export function Signed({ value, most }) {
  const part = Math.min(1, Math.abs(value) / (most || 1)) * 50;
  const place = value < 0 ? { right: "50%", width: `${part}%` } : { left: "50%", width: `${part}%` };
  return html`<span class="meter signed"><span class="bar" aria-hidden="true"><span class=${value < 0 ? "minus" : "plus"} style=${place}></span></span><span>${
    value > 0 ? "+" : ""}${shown(value)}</span></span>`;
}

/** Tokens of a context that are shown: those around the strongest. */
const MAX_TOKENS = 80;

/** Tokens shaded by activation; the number stands in the title and, for the strongest, in the text for screen readers.
 * @param {{tokens: string[], activations: number[], most?: number}} props */
export function Context({ tokens, activations, most = Math.max(...activations, 1e-9) }) {
  if (tokens.length > MAX_TOKENS) {
    const middle = activations.indexOf(Math.max(...activations)), from = Math.max(0, Math.min(middle - MAX_TOKENS / 2, tokens.length - MAX_TOKENS));
    return html`<${Context} tokens=${tokens.slice(from, from + MAX_TOKENS)} activations=${activations.slice(from, from + MAX_TOKENS)} most=${most} />`;
  }
  const greatest = activations.indexOf(Math.max(...activations));
  return html`<p class="context" dir="auto">${tokens.map((token, i) => {
    const strength = Math.max(0, activations[i] ?? 0) / most;
    return html`${i ? html`<wbr />` : null}<span key=${i} class=${strength > 0 ? "active" : ""} style=${strength > 0 ? { "--strength": `${Math.round(15 + strength * 70)}%` } : null}
      title=${strength > 0 ? `activation ${shown(activations[i])}` : ""}>${token}</span>`;
  })}<span class="unseen"> (strongest: ${tokens[greatest]}, activation ${shown(activations[greatest])})</span></p>`;
}

/** Why controls that write are not there; null when they are. */
export function useWriting() {
  const secret = useToken();
  return secret ? null : "Writing needs a token: start the server with --token-file, and give the token at the top of this page.";
}

/** Why one should not read this graph, as the docs on limitations say. @param {any} circuit @returns {string[]} */
export function warningsOf(circuit) {
  const found = [];
  if (circuit.errorShare !== null && circuit.errorShare > 0.3)
    found.push(`Error nodes hold ${percent(circuit.errorShare)} of the influence: the features explain little of this answer.`);
  if (circuit.replacementScore !== null && circuit.replacementScore < 0.5)
    found.push(`Only ${percent(circuit.replacementScore)} of the influence on the answer runs through features (replacement score).`);
  if (circuit.correct === false) found.push("The answer is not the expected one.");
  if (circuit.derived?.length)
    found.push(`Derived from a pruned file, not computed: ${circuit.derived.map((/** @type {string} */ each) => each.toLowerCase().replace("_", " ")).join(", ")}.`);
  if (circuit.keptInfluence !== null && circuit.keptInfluence !== undefined && circuit.keptInfluence < 0.5)
    found.push(`Pruning kept only ${percent(circuit.keptInfluence)} of the influence.`);
  return found;
}
