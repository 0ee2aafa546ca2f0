// The table of circuits: filters, order, pages, and lists that this browser keeps.

import { address, change, go } from "../addresses.js";
import { listNames, saveList } from "../lists.js";
import { useAnswer } from "../graphql.js";
import { AnswerOf, CircuitLink, counted, Heading, Pager, Panel, percent, Table, useNarrow, useTitle } from "../parts.js";
import { html, useEffect, useState } from "../vendor/preact.js";

const CIRCUITS = `query circuits($filter: CircuitFilter, $orderBy: CircuitOrder!, $after: String) {
  circuits(filter: $filter, orderBy: $orderBy, first: 50, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      id displayAnswer answerProbability correct replacementScore completenessScore errorShare nNodes nEdges title
      prompt { id text family tags pair }
      transcoders { id name }
    }
  }
}`;
const CHOICES = `query choices {
  families { name nCircuits tags }
}`;
const ORDERS = { FAMILY: "family and prompt", REPLACEMENT_SCORE: "replacement score, highest first", COMPLETENESS_SCORE: "completeness score, highest first", ERROR_SHARE: "error share, lowest first" };
const TEXTS = /** @type {[string, string][]} */ ([["text", "Words of the prompt"], ["answer", "Answer"], ["pair", "Pair"], ["model", "Model"], ["transcoders", "Transcoder set"]]);

/** The filter that an address names. @param {URLSearchParams} params */
function filterOf(params) {
  const many = (/** @type {string} */ name) => (params.getAll(name).length ? params.getAll(name) : undefined);
  const number = (/** @type {string} */ name) => (params.get(name) && Number.isFinite(Number(params.get(name))) ? Number(params.get(name)) : undefined);
  const filter = {
    families: many("family"), tags: many("tag"), correct: params.has("correct") ? params.get("correct") === "true" : undefined,
    minReplacementScore: number("replacement"), maxErrorShare: number("error"),
    ...Object.fromEntries(TEXTS.map(([name]) => [name, params.get(name) || undefined])),
  };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
}

export function Circuits(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  useTitle("Circuits");
  const { params } = place, orderBy = params.get("order") ?? "FAMILY";
  const answer = useAnswer(CIRCUITS, { filter: filterOf(params), orderBy, after: params.get("after") });
  const choices = useAnswer(CHOICES), list = answer.data?.circuits, narrow = useNarrow();
  const [chosen, setChosen] = useState(/** @type {string[]} */ ([]));
  const toggle = (/** @type {string} */ id) => setChosen((before) => (before.includes(id) ? before.filter((each) => each !== id) : [...before, id]));
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: "", value: () => "", cell: (row) => html`<input type="checkbox" checked=${chosen.includes(row.id)} onChange=${() => toggle(row.id)} aria-label=${`Choose ${row.prompt.text.slice(0, 80)}`} />` },
    { name: "prompt", value: (row) => row.prompt.text, cell: (row) => html`<${CircuitLink} circuit=${row} />${row.title ? html`<br /><span class="quiet small">${row.title}</span>` : null}` },
    { name: "answer", value: (row) => row.displayAnswer, cell: (row) => html`<${AnswerOf} circuit=${row} />` },
    { name: "family", value: (row) => row.prompt.family, cell: (row) => (row.prompt.family ? html`<a class="whole" href=${address("circuits", [], { family: row.prompt.family })}>${row.prompt.family}</a>` : "") },
    { name: "replacement", value: (row) => row.replacementScore, number: true },
    { name: "completeness", value: (row) => row.completenessScore, number: true },
    { name: "error share", value: (row) => row.errorShare, number: true, cell: (row) => html`${row.errorShare > 0.3 ? html`<span role="img" aria-label="read with care" title="above 30 %: read with care">⚠ </span>` : null}${percent(row.errorShare)}` },
    { name: "nodes", value: (row) => row.nNodes, number: true },
    { name: "edges", value: (row) => row.nEdges, number: true },
    { name: "tags", value: (row) => row.prompt.tags, cell: (row) => html`<span class="tags">${row.prompt.tags.map((/** @type {string} */ tag) => html`<a key=${tag} class="tag" href=${address("circuits", [], { tag })}>${tag}</a>`)}</span>` },
    { name: "id", value: (row) => row.id, cell: (row) => html`<code class="small">${row.id.slice(0, 8)}</code>` },
  ];
  const filters = html`<${Filters} place=${place} families=${choices.data?.families ?? []} orderBy=${orderBy} />`;
  const nSet = new Set([...params.keys()].filter((name) => name !== "after")).size;
  return html`<${Heading}>Circuits<//>
    <${Panel} title=${list ? counted(list.totalCount, "circuit") : "Circuits"} file="circuits" answer=${answer} table=${list ? { columns: columns.slice(1), rows: list.nodes } : null}>
      ${narrow ? html`<details class="filtering"><summary>Filters and order${nSet ? ` (${nSet} set)` : ""}</summary>${filters}</details>` : filters}
      ${chosen.length ? html`<${Chosen} ids=${chosen} clear=${() => setChosen([])} />` : null}
      ${list ? html`<${Table} caption="Circuits" columns=${columns} rows=${list.nodes} rowKey=${(/** @type {any} */ row) => row.id}
        empty=${html`No circuit fits. <a href="/circuits">Show all circuits</a>`} />
        <${Pager} list=${list} shownRows=${list.nodes.length} />` : null}
    <//>`;
}

/** What to do with the circuits that are ticked. @param {{ids: string[], clear: () => void}} props */
function Chosen({ ids, clear }) {
  const [name, setName] = useState("");
  return html`<div class="row" role="status">
    <span>${counted(ids.length, "circuit")} chosen</span>
    ${ids.length === 2 ? html`<button type="button" class="strong" onClick=${() => go(address("compare", ids))}>Compare the two</button>` : null}
    <form class="row" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); if (name.trim()) { saveList(name.trim(), ids); clear(); } }}>
      <input value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} placeholder="name of a list" aria-label="Name of a list" list="lists" />
      <datalist id="lists">${listNames().map((each) => html`<option key=${each} value=${each} />`)}</datalist>
      <button type="submit">Save as list</button></form>
    <button type="button" onClick=${clear}>Clear</button>
  </div>`;
}

function Filters(/** @type {{place: import("../addresses.js").Place, families: any[], orderBy: string}} */ { place, families, orderBy }) {
  const { params } = place;
  const [typed, setTyped] = useState(/** @type {Record<string, string>} */ ({}));
  useEffect(() => setTyped({}), [place]);
  const value = (/** @type {string} */ name) => typed[name] ?? params.get(name) ?? "";
  const set = (/** @type {string} */ name, /** @type {any} */ to) => change({ [name]: to, after: null });
  const tags = [...new Set(families.flatMap((each) => each.tags))].sort();
  return html`<form class="filters" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); change({ ...typed, after: null }); }}>
    <label>Family <select value=${params.get("family") ?? ""} onChange=${(/** @type {any} */ event) => set("family", event.target.value)}>
      <option value="">any</option>${families.map((each) => html`<option key=${each.name} value=${each.name}>${each.name} (${each.nCircuits})</option>`)}</select></label>
    <label>Tag <input list="tags" value=${value("tag")} size="14" onInput=${(/** @type {any} */ event) => setTyped({ ...typed, tag: event.target.value })} onChange=${(/** @type {any} */ event) => set("tag", event.target.value)} />
      <datalist id="tags">${tags.map((tag) => html`<option key=${tag} value=${tag} />`)}</datalist></label>
    ${TEXTS.map(([name, label]) => html`<label key=${name}>${label} <input value=${value(name)} size=${name === "text" ? 22 : 12}
      onInput=${(/** @type {any} */ event) => setTyped({ ...typed, [name]: event.target.value })} /></label>`)}
    <label>Answered <select value=${params.get("correct") ?? ""} onChange=${(/** @type {any} */ event) => set("correct", event.target.value)}>
      <option value="">right or wrong</option><option value="true">right</option><option value="false">wrong</option></select></label>
    <label>Error share at most <input type="number" min="0" max="1" step="0.05" value=${value("error")} onInput=${(/** @type {any} */ event) => setTyped({ ...typed, error: event.target.value })} /></label>
    <label>Replacement at least <input type="number" min="0" max="1" step="0.05" value=${value("replacement")} onInput=${(/** @type {any} */ event) => setTyped({ ...typed, replacement: event.target.value })} /></label>
    <label>Order <select value=${orderBy} onChange=${(/** @type {any} */ event) => set("order", event.target.value)}>
      ${Object.entries(ORDERS).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}</select></label>
    <span class="row"><button type="submit" class="strong">Filter</button>${[...params.keys()].length ? html`<a class="button" href="/circuits">Show all</a>` : null}</span>
  </form>`;
}
