// What was tested by intervention: hypotheses of studies, claims, how well graphs predict effects; and the figures.

import { address } from "../addresses.js";
import { useAnswer } from "../graphql.js";
import { Heading, Pager, Panel, percent, shown, Table, useTitle } from "../parts.js";
import { html } from "../vendor/preact.js";

const HYPOTHESES = `query hypotheses {
  hypotheses { id question edits prediction nPrompts nFormedOn meanEffect nullMean p q nTested survived testedAt }
}`;
const CLAIMS = `query claims($after: String) {
  claims(first: 20, after: $after) {
    totalCount
    pageInfo { hasNextPage endCursor }
    nodes { id edits transcoders family nCircuits predicted effect nullMean nullSd p q nMeasured survived measuredAt }
  }
}`;
const FLOW = `query flow {
  flowStages { nCircuits nConsidered stages { stage influence inputs { source influence share } } }
  diagnostics { all { nCircuits nTested precision recall } }
}`;

/** An edit, with a link to the feature that it names. @param {string} edit @param {string|undefined} set */
function edited(edit, set) {
  const feature = /^\w+ (\d+\/\d+)[:@]/.exec(edit)?.[1];
  return feature && set ? html`<a href=${address("feature", `${set}/${feature}`)}><code>${edit}</code></a>` : html`<code>${edit}</code>`;
}
const survived = (/** @type {boolean|null} */ value) => (value === null ? "not tested" : value ? "survived" : "did not survive");

/** @type {import("../parts.js").Column[]} */
const ASKED = [
  { name: "question", value: (row) => row.question }, { name: "edits", value: (row) => row.edits, cell: (row) => row.edits.map((/** @type {string} */ each) => html`<div key=${each}>${edited(each, undefined)}</div>`) },
  { name: "prediction", value: (row) => row.prediction }, { name: "prompts", value: (row) => row.nPrompts, number: true },
  { name: "effect", value: (row) => row.meanEffect, number: true }, { name: "null", value: (row) => row.nullMean, number: true },
  { name: "q", value: (row) => row.q, number: true }, { name: "result", value: (row) => survived(row.survived) },
];
/** @type {import("../parts.js").Column[]} */
export const CLAIMED = [
  { name: "edits", value: (row) => row.edits, cell: (row) => row.edits.map((/** @type {string} */ each) => html`<div key=${each}>${edited(each, row.transcoders)}</div>`) },
  { name: "family", value: (row) => row.family }, { name: "circuits", value: (row) => row.nCircuits, number: true },
  { name: "predicted", value: (row) => row.predicted, number: true }, { name: "effect", value: (row) => row.effect, number: true },
  { name: "null", value: (row) => row.nullMean, number: true, cell: (row) => `${shown(row.nullMean)} ± ${shown(row.nullSd)}` },
  { name: "q", value: (row) => row.q, number: true }, { name: "result", value: (row) => survived(row.survived) },
];
/** @type {import("../parts.js").Column[]} */
const STAGES = [
  { name: "stage", value: (row) => row.stage }, { name: "from", value: (row) => row.source },
  { name: "mean influence", value: (row) => row.influence, number: true }, { name: "share", value: (row) => row.share, number: true, cell: (row) => percent(row.share) },
];
const FIGURES = [
  ["claims", "predicted and measured effects"], ["flow", "where influence comes from, by stage"], ["heads", "attention heads by family"],
  ["labels", "scores of labels"], ["modules", "families and modules"], ["supernodes", "what tells two families apart"],
];

export function Evidence() {
  useTitle("Evidence");
  const asked = useAnswer(HYPOTHESES), claims = useAnswer(CLAIMS, { after: new URLSearchParams(location.search).get("after") }), flow = useAnswer(FLOW);
  const stages = flow.data?.flowStages.stages.flatMap((/** @type {any} */ each) => each.inputs.map((/** @type {any} */ input) => ({ stage: each.stage, ...input }))) ?? [];
  const table = flow.data?.diagnostics.all;
  return html`<${Heading}>Evidence<//>
    <p class="quiet">A graph predicts; an intervention tests. What was measured in the real model, beside random features.</p>
    <${Panel} title="Hypotheses of studies" file="hypotheses" answer=${asked} table=${asked.data ? { columns: ASKED, rows: asked.data.hypotheses } : null}>
      ${asked.data ? html`<${Table} caption="Hypotheses" columns=${ASKED} rows=${asked.data.hypotheses} rowKey=${(/** @type {any} */ row) => row.id}
        empty=${html`No hypothesis is registered. <code>atlas hypothesis</code> registers and tests one; <code>atlas study run</code> repeats the studies.`} />` : null}<//>
    <${Panel} title="Claims" file="claims" answer=${claims} table=${claims.data ? { columns: CLAIMED, rows: claims.data.claims.nodes } : null}>
      ${claims.data ? html`<${Table} caption="Claims" columns=${CLAIMED} rows=${claims.data.claims.nodes} rowKey=${(/** @type {any} */ row) => row.id}
        empty=${html`No claim was measured. <code>atlas intervene … --keep</code> measures one.`} /><${Pager} list=${claims.data.claims} shownRows=${claims.data.claims.nodes.length} />` : null}<//>
    <div class="grid">
      <${Panel} title="How well graphs predict, and where influence flows" file="flow" answer=${flow} table=${flow.data ? { columns: STAGES, rows: stages } : null}>
        ${table ? html`<p>${table.nTested ? html`Of the effects that graphs predict, ${percent(table.precision)} were found (precision), over ${table.nTested} tests in ${table.nCircuits} circuits; recall ${percent(table.recall)}.`
          : html`No graph was diagnosed. <code>atlas diagnose</code> tests predicted effects.`}</p>` : null}
        ${flow.data ? html`<${Table} caption="Influence by stage" columns=${STAGES} rows=${stages} />` : null}<//>
      <section class="panel" aria-label="Studies and figures"><header><h2>Studies and figures</h2></header>
        <p>The studies of the paper are pages of the documentation: <code>docs/studies/README.md</code>. <code>atlas study run NAME</code> repeats one on this atlas, and its hypotheses then stand above.</p>
        <p>Figures are drawn from GraphQL answers by the command <code>atlas figure NAME</code>; <code>atlas figure</code> lists all:</p>
        <ul class="plain small">${FIGURES.map(([name, text]) => html`<li key=${name}><code>atlas figure ${name}</code> ${text}</li>`)}</ul>
        <p><a href="/modules">Modules</a> · <a href="/contrast">Contrast two sets</a></p></section>
    </div>`;
}
