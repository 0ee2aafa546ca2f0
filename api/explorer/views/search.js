// One search over prompts, tokens, labels and supernodes, with the circuits in which each is found.

import { address } from "../addresses.js";
import { useAnswer } from "../graphql.js";
import { AnswerOf, CircuitLink, counted, Heading, Pager, Panel, shown, useTitle } from "../parts.js";
import { html } from "../vendor/preact.js";

const SEARCH = `query search($text: String!, $kinds: [SearchKind!], $after: String) {
  search(text: $text, kinds: $kinds, first: 20, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes {
      kind text nCircuits nFeatures
      circuits(first: 5) { nodes { influence circuit { id displayAnswer correct prompt { text family } } } }
    }
  }
}`;
const KINDS = { PROMPT: "prompt", LABEL: "label", SUPERNODE: "supernode", TOKEN: "token" };

export function Search(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  const text = place.params.get("text") ?? "", kind = place.params.get("kind");
  useTitle(`Search ${text}`);
  const answer = useAnswer(SEARCH, { text, kinds: kind ? [kind] : null, after: place.params.get("after") }, { skip: !text.trim() });
  const list = answer.data?.search;
  const rows = list?.nodes.flatMap((/** @type {any} */ found) => found.circuits.nodes.map((/** @type {any} */ use) => ({ found, use }))) ?? [];
  return html`<${Heading}>Search: ${text}<//>
    <div class="tabs" role="group" aria-label="Kind">
      ${[["", "All"], ...Object.entries(KINDS).map(([name, word]) => [name, word[0].toUpperCase() + word.slice(1) + "s"])].map(([name, word]) => html`
        <a key=${name} class="button" aria-current=${(kind ?? "") === name ? "true" : null} href=${address("search", [], { text, kind: name })}>${word}</a>`)}
    </div>
    <${Panel} title="Found" answer=${answer} file=${`search ${text}`} table=${list ? { columns: COLUMNS, rows } : null}>
      ${list?.nodes.map((/** @type {any} */ found) => single(found) ?? html`<section key=${found.kind + found.text} class="panel" aria-label=${found.text.slice(0, 80)}>
        <header><span class="tag">${KINDS[/** @type {keyof typeof KINDS} */ (found.kind)]}</span><h3 dir="auto">${found.text.length > 300 ? found.text.slice(0, 299) + "…" : found.text}</h3>
          <span class="quiet small">${found.nFeatures ? `${counted(found.nFeatures, "feature")}, ` : ""}${counted(found.nCircuits, "circuit")}</span></header>
        <ul class="plain">${found.circuits.nodes.map((/** @type {any} */ use) => html`<li key=${use.circuit.id}><${CircuitLink} circuit=${use.circuit} />${" "}
          <${AnswerOf} circuit=${use.circuit} />${use.influence === null ? null : html` <span class="quiet small">influence ${shown(use.influence)}</span>`}</li>`)}</ul>
        ${found.nCircuits > found.circuits.nodes.length ? html`<p class="small"><a href=${more(found)}>More circuits</a></p>` : null}
      </section>`)}
      ${list && !list.nodes.length ? html`<p class="quiet">Nothing has this text. Search finds whole words and their beginnings in prompts, tokens, labels and supernodes.</p>` : null}
      ${list ? html`<${Pager} list=${list} shownRows=${list.nodes.length} />` : null}
    <//>`;
}

/** A prompt with one circuit: its text is the link. Null for anything else. @param {any} found */
function single(found) {
  if (found.kind !== "PROMPT" || found.nCircuits !== 1 || !found.circuits.nodes.length) return null;
  const { circuit } = found.circuits.nodes[0];
  return html`<section key=${found.kind + found.text} class="panel" aria-label=${found.text.slice(0, 80)}>
    <header><span class="tag">prompt</span><h3 dir="auto"><${CircuitLink} circuit=${circuit} /></h3><${AnswerOf} circuit=${circuit} /></header></section>`;
}

function more(/** @type {any} */ found) {
  return address("circuits", [], { text: found.kind === "PROMPT" || found.kind === "TOKEN" ? found.text.trim() : null });
}

/** @type {import("../parts.js").Column[]} */
const COLUMNS = [
  { name: "kind", value: (row) => row.found.kind },
  { name: "text", value: (row) => row.found.text },
  { name: "circuit", value: (row) => row.use.circuit.id },
  { name: "prompt", value: (row) => row.use.circuit.prompt.text },
  { name: "answer", value: (row) => row.use.circuit.displayAnswer },
  { name: "influence", value: (row) => row.use.influence },
];
