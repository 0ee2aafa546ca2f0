// What was tested by intervention: hypotheses, claims, how well graphs predict effects; and the figures.

import { address } from "../addresses.js";
import { useAnswer } from "../graphql.js";
import { Heading, Pager, Panel, percent, shown, Table, useTitle } from "../parts.js";
import { html } from "../vendor/preact.js";
import { FigurePanel } from "./figure.js";

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
}`;
const DIAGNOSTICS = `query diagnostics {
  diagnostics(minShare: 0.01, level: 0.05) {
    all { nCircuits nTested precision recall }
    families { family nCircuits nTested precision recall }
  }
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
const PREDICTED = [
  { name: "family", value: (row) => row.family }, { name: "circuits", value: (row) => row.nCircuits, number: true }, { name: "tests", value: (row) => row.nTested, number: true },
  { name: "precision", value: (row) => row.precision, number: true, cell: (row) => percent(row.precision), help: "share of the important features whose ablation has an effect" },
  { name: "recall", value: (row) => row.recall, number: true, cell: (row) => percent(row.recall), help: "share of the features whose ablation has an effect that are important" },
];

/** A column for each source of influence. @param {any[]} stages @returns {import("../parts.js").Column[]} */
const stageColumns = (stages) => [
  { name: "stage", value: (row) => row.stage }, { name: "influence", value: (row) => row.influence, number: true, help: "on the target, mean over circuits" },
  ...(stages[0]?.inputs ?? []).map((/** @type {any} */ input, /** @type {number} */ i) => ({
    name: `from ${input.source}`, value: (/** @type {any} */ row) => row.inputs[i].share, number: true,
    cell: (/** @type {any} */ row) => (row.inputs[i].share ? percent(row.inputs[i].share) : html`<span class="quiet">0</span>`),
  })),
];
export function Evidence() {
  useTitle("Evidence");
  const asked = useAnswer(HYPOTHESES), claims = useAnswer(CLAIMS, { after: new URLSearchParams(location.search).get("after") }), flow = useAnswer(FLOW), tested = useAnswer(DIAGNOSTICS);
  const stages = flow.data?.flowStages.stages ?? [], columns = stageColumns(stages);
  const predicted = tested.data ? [...tested.data.diagnostics.families, { family: "all", ...tested.data.diagnostics.all }].filter((each) => each.nTested) : [];
  return html`<${Heading}>Evidence<//>
    <p class="quiet">A graph predicts; an intervention tests. What was measured in the real model, beside random features.</p>
    <${Panel} title="Hypotheses" file="hypotheses" answer=${asked} table=${asked.data ? { columns: ASKED, rows: asked.data.hypotheses } : null}>
      ${asked.data ? html`<${Table} caption="Hypotheses" columns=${ASKED} rows=${asked.data.hypotheses} rowKey=${(/** @type {any} */ row) => row.id}
        empty=${html`No hypothesis is registered. <code>atlas hypothesis</code> registers and tests one.`} />` : null}<//>
    <${Panel} title="Claims" file="claims" answer=${claims} table=${claims.data ? { columns: CLAIMED, rows: claims.data.claims.nodes } : null}>
      ${claims.data ? html`<${Table} caption="Claims" columns=${CLAIMED} rows=${claims.data.claims.nodes} rowKey=${(/** @type {any} */ row) => row.id}
        empty=${html`No claim was measured. <code>atlas intervene … --keep</code> measures one.`} /><${Pager} list=${claims.data.claims} shownRows=${claims.data.claims.nodes.length} />` : null}<//>
    <${FigurePanel} />
    <div class="grid">
      <${Panel} title="Where influence flows" file="flow" answer=${flow} table=${flow.data ? { columns, rows: stages } : null}
        note="Of the influence of early, middle and late features and of the answer: the share that comes from each source.">
        ${flow.data ? html`<${Table} caption="Influence by stage" columns=${columns} rows=${stages} />` : null}<//>
      <${Panel} title="How well graphs predict" file="diagnostics" answer=${tested} table=${tested.data ? { columns: PREDICTED, rows: predicted } : null}
        note="Features were ablated one by one. A feature is important with at least 1 % of the features' influence in its circuit.">
        ${tested.data ? html`<${Table} caption="Predictions that were tested" columns=${PREDICTED} rows=${predicted} empty=${html`No graph was diagnosed. <code>atlas diagnose</code> tests what graphs predict.`} />` : null}<//>
      <section class="panel" aria-label="Studies"><header><h2>Studies</h2></header>
        <p>The studies of the paper are pages of the documentation: <code>docs/studies/README.md</code>. <code>atlas study run NAME</code> repeats one on held-out prompts,
          and <code>atlas report</code> writes a page with the results and their figures.</p>
        <p><a href="/modules">Modules</a> · <a href="/contrast">Contrast two sets</a></p></section>
    </div>`;
}
