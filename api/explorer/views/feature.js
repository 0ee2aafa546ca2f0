// A feature: what it means, where it occurs, which circuits share it, and what it drives. As a panel and as a page.

import { address } from "../addresses.js";
import { ask, useAnswer } from "../graphql.js";
import {
  AnswerOf, CircuitLink, Context, counted, FeatureLink, Heading, labelOf, Meter, Pager, Panel, percent, promptText, shortId, shown, Signed, Table,
  useTitle, useWriting,
} from "../parts.js";
import { html, useState } from "../vendor/preact.js";
import { CLAIMED } from "./evidence.js";
import { Missing } from "./missing.js";

const FEATURE = `query feature($id: ID!) {
  feature(id: $id) {
    id layer index nCircuits nConsidered density promotes suppresses neuronpediaUrl
    transcoders { id name kind model { name } }
    labels { id text method author score scorer nullScore beatsNull }
    families { family nCircuits nConsidered share meanInfluence }
    examples(first: 6) { totalCount nodes { id tokens activations } }
  }
}`;
const SHARING = `query sharing($id: ID!, $first: Int!, $after: String) {
  feature(id: $id) {
    nConsidered
    circuits(first: $first, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes { influence activation positions circuit { id displayAnswer correct prompt { text family displayTokens } } }
    }
  }
}`;
const EFFECTS = `query effects($id: ID!, $first: Int!) {
  feature(id: $id) {
    drivenBy(first: $first, countBy: CIRCUITS) { totalCount nodes { nCircuits nConsidered mean sd signConsistency feature { id layer index labels { text } } } }
    drives(first: $first, countBy: CIRCUITS) { totalCount nodes { nCircuits nConsidered mean sd signConsistency feature { id layer index labels { text } } } }
  }
}`;
const NEAREST = `query nearest($id: ID!) {
  nearestFeatures(feature: $id, first: 12) { totalCount nodes { cosine feature { id layer index nCircuits labels { text } } } }
}`;
const HISTORY = `query history($id: ID!) {
  feature(id: $id) { history { step checkpoint feature nCircuits nConsidered influence nextStep cosine agreement } }
}`;
const CLAIMS = `query claims($features: [ID!]) {
  claims(features: $features, first: 20) {
    totalCount
    nodes { id edits family nCircuits predicted effect nullMean nullSd q survived transcoders }
  }
}`;
const LABEL = `mutation label($feature: ID!, $text: String!, $author: String!) {
  labelFeature(feature: $feature, text: $text, author: $author) { id labels { text } }
}`;

/** The panels of a feature beside a circuit. @param {{id: string, except: string}} props except: the circuit in which it is looked at */
export function FeatureBeside({ id, except }) {
  return html`<${FeaturePanels} id=${id} answer=${useAnswer(FEATURE, { id })} compact=${true} except=${except} />`;
}

/** The panels of a feature. @param {{id: string, answer: import("../graphql.js").Answer, compact?: boolean, except?: string|null}} props */
function FeaturePanels({ id, answer, compact = false, except = null }) {
  const { feature } = answer.data ?? {};
  const name = feature ? labelOf(feature) : shortId(id);
  if (answer.data && !feature) return html`<p>No feature has the id <code>${id}</code>.</p>`;
  return html`
    <${Panel} title=${compact ? `Feature ${shortId(id)}` : "Meaning"} file=${`feature ${id}`} answer=${answer} level=${compact ? 3 : 2}
      table=${feature ? { columns: LABELS, rows: feature.labels } : null}>
      ${feature ? html`<${Meaning} feature=${feature} compact=${compact} again=${answer.again} />` : null}
    <//>
    <${Sharing} id=${id} name=${name} compact=${compact} except=${except} />
    <${Effects} id=${id} compact=${compact} />
    ${compact ? null : html`<${Claims} id=${id} /><${Nearest} id=${id} /><${History} id=${id} />`}`;
}

/** @type {import("../parts.js").Column[]} */
const LABELS = [
  { name: "label", value: (row) => row.text, cell: (row) => html`<bdi class="prompt">${row.text}</bdi>` },
  { name: "by", value: (row) => `${row.method} (${row.author})` },
  { name: "score", value: (row) => row.score, number: true, cell: (row) => (row.score === null ? "not scored" : shown(row.score)), help: "how well the label predicts the activations" },
  { name: "null", value: (row) => row.nullScore, number: true, cell: (row) => (row.nullScore === null ? "" : shown(row.nullScore)), help: "score of labels of other features" },
  { name: "beats null", value: (row) => row.beatsNull, cell: (row) => (row.beatsNull === null ? "" : row.beatsNull ? "yes" : "no") },
];
/** @type {import("../parts.js").Column[]} */
const FAMILIES = [
  { name: "family", value: (row) => row.family, cell: (row) => html`<a class="whole" href=${address("circuits", [], { family: row.family })}>${row.family}</a>` },
  { name: "circuits", value: (row) => row.nCircuits, number: true, cell: (row) => `${row.nCircuits} of ${row.nConsidered}` },
  { name: "share", value: (row) => row.share, cell: (row) => html`<${Meter} value=${row.share} text=${percent(row.share)} />` },
  { name: "mean influence", value: (row) => row.meanInfluence, number: true },
];

function Meaning(/** @type {{feature: any, compact: boolean, again: () => void}} */ { feature, compact, again }) {
  const most = Math.max(...feature.examples.nodes.flatMap((/** @type {any} */ each) => each.activations), 1e-9);
  const tokens = (/** @type {string[]} */ list) => (list.length ? list.slice(0, compact ? 8 : 20).map((each, i) => html`<bdi key=${i} class="tag">${each}</bdi> `) : "unknown");
  const contexts = feature.examples.nodes.slice(0, compact ? 3 : 6);
  return html`
    ${compact ? html`<p class="row"><strong dir="auto">${feature.labels[0]?.text ?? "no label"}</strong>
      ${feature.labels[0]?.score !== null && feature.labels[0] ? html`<span class="quiet small">score ${shown(feature.labels[0].score)}${feature.labels[0].nullScore === null ? "" : `, null ${shown(feature.labels[0].nullScore)}`}</span>` : html`<span class="quiet small">label not scored</span>`}
      <a href=${address("feature", feature.id)}>Open its page</a></p>`
      : html`<${Table} caption="Labels" columns=${LABELS} rows=${feature.labels} empty="The feature has no label." />`}
    <dl class="facts">
      <dt>in circuits</dt><dd>${feature.nCircuits} of ${feature.nConsidered}, in ${counted(feature.families.length, "family", "families")}</dd>
      <dt>promotes</dt><dd>${tokens(feature.promotes)}</dd>
      <dt>suppresses</dt><dd>${tokens(feature.suppresses)}</dd>
      <dt>density</dt><dd>${feature.density === null ? "unknown" : `active on ${percent(feature.density)} of a corpus's tokens`}</dd>
      ${compact ? null : html`<dt>transcoders</dt><dd>${feature.transcoders.name}, layer ${feature.layer}, model ${feature.transcoders.model.name}</dd>`}
      ${feature.neuronpediaUrl ? html`<dt>Neuronpedia</dt><dd><a href=${feature.neuronpediaUrl} rel="noopener noreferrer" target="_blank">its page there</a></dd>` : null}
    </dl>
    ${contexts.length ? html`<h3>Contexts</h3>${contexts.map((/** @type {any} */ each) => html`<${Context} key=${each.id} tokens=${each.tokens} activations=${each.activations} most=${most} />`)}` : html`<p class="quiet small">No contexts are stored.</p>`}
    ${compact ? null : html`<h3>Families</h3><${Table} caption="Families" columns=${FAMILIES} rows=${feature.families} empty="No circuit of a family has the feature." />`}
    <${LabelForm} feature=${feature} again=${again} />`;
}

/** Names a feature. Needs a token. @param {{feature: any, again: () => void}} props */
function LabelForm({ feature, again }) {
  const reason = useWriting();
  const [text, setText] = useState(""), [author, setAuthor] = useState(""), [said, setSaid] = useState("");
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await ask(LABEL, { feature: feature.id, text: text.trim(), author: author.trim() });
      setText("");
      setSaid("The label is stored.");
      again();
    } catch (/** @type {any} */ error) {
      setSaid(`${error.message}${error.nextStep ? ` · ${error.nextStep}` : ""}`);
    }
  };
  return html`<details class="write"><summary class="small">Label it</summary>
    ${reason ? html`<p class="quiet small">${reason}</p>` : html`<form class="row" onSubmit=${submit}>
      <input required maxlength="2000" value=${text} placeholder="label" aria-label="Label" onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
      <input required maxlength="100" size="10" value=${author} placeholder="your name" aria-label="Your name" onInput=${(/** @type {any} */ event) => setAuthor(event.target.value)} />
      <button type="submit">Store</button></form>`}
    <p class="small" role="status">${said}</p></details>`;
}

/** The circuits that share a feature; each link opens the circuit with the feature pinned. */
function Sharing(/** @type {{id: string, name: string, compact: boolean, except: string|null}} */ { id, name, compact, except }) {
  const first = compact ? 12 : 25, after = compact ? null : new URLSearchParams(location.search).get("after");
  const answer = useAnswer(SHARING, { id, first, after }), list = answer.data?.feature?.circuits;
  const most = Math.max(1e-9, ...(list?.nodes.map((/** @type {any} */ use) => use.influence ?? 0) ?? []));
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: "prompt", value: (row) => row.circuit.prompt.text, cell: (row) => (row.circuit.id === except ? html`<bdi class="quiet">${promptText(row.circuit)} (this circuit)</bdi>` : html`<${CircuitLink} circuit=${row.circuit} params=${{ feature: id }} />`) },
    { name: "answer", value: (row) => row.circuit.displayAnswer, cell: (row) => html`<${AnswerOf} circuit=${row.circuit} />` },
    { name: "influence", value: (row) => row.influence, cell: (row) => html`<${Meter} value=${row.influence} most=${most} />` },
    ...(compact ? [] : /** @type {import("../parts.js").Column[]} */ ([
      { name: "activation", value: (row) => row.activation, number: true },
      { name: "fires on", value: (row) => row.positions.map((/** @type {number} */ p) => row.circuit.prompt.displayTokens[p] ?? p), cell: (row) => html`<bdi>${row.positions.map((/** @type {number} */ p) => row.circuit.prompt.displayTokens[p] ?? p).join(" · ")}</bdi>` },
      { name: "family", value: (row) => row.circuit.prompt.family },
    ])),
  ];
  return html`<${Panel} title="Circuits that share it" file=${`circuits of ${id}`} answer=${answer} level=${compact ? 3 : 2} table=${list ? { columns, rows: list.nodes } : null}>
    ${list ? html`<p class="quiet small">${list.totalCount} of ${answer.data.feature.nConsidered} circuits have “${name}”. Each link opens the circuit with the feature pinned.</p>
      <${Table} caption="Circuits that share the feature" columns=${columns} rows=${list.nodes} rowKey=${(/** @type {any} */ row) => row.circuit.id} />
      ${compact ? (list.pageInfo.hasNextPage ? html`<p class="small"><a href=${address("feature", id)}>All ${list.totalCount} circuits</a></p>` : null) : html`<${Pager} list=${list} shownRows=${list.nodes.length} />`}` : null}
  <//>`;
}

function Effects(/** @type {{id: string, compact: boolean}} */ { id, compact }) {
  const answer = useAnswer(EFFECTS, { id, first: compact ? 5 : 15 }), found = answer.data?.feature;
  const rows = found ? [...found.drivenBy.nodes.map((/** @type {any} */ each) => ({ way: "from", ...each })), ...found.drives.nodes.map((/** @type {any} */ each) => ({ way: "to", ...each }))] : [];
  const most = Math.max(1e-9, ...rows.map((each) => Math.abs(each.mean)));
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: "feature", value: (row) => row.feature.id, cell: (row) => html`<${FeatureLink} feature=${row.feature} />` },
    { name: "mean effect", value: (row) => row.mean, cell: (row) => html`<${Signed} value=${row.mean} most=${most} />` },
    { name: "circuits", value: (row) => row.nCircuits, number: true, cell: (row) => `${row.nCircuits} of ${row.nConsidered}`, help: "with the effect, of those that have both features" },
    { name: "same sign", value: (row) => row.signConsistency, number: true, cell: (row) => percent(row.signConsistency) },
  ];
  const way = { name: "way", value: (/** @type {any} */ row) => row.way };
  const table = (/** @type {string} */ title, /** @type {any} */ list) => html`<h3>${title} <span class="quiet small">${list.nodes.length} of ${list.totalCount}</span></h3>
    <${Table} caption=${title} columns=${columns} rows=${list.nodes} rowKey=${(/** @type {any} */ row) => row.feature.id} empty="No effect recurs." />`;
  return html`<${Panel} title="Recurring effects" file=${`effects of ${id}`} answer=${answer} level=${compact ? 3 : 2} table=${found ? { columns: [way, ...columns], rows } : null}>
    ${found ? html`${table("Driven by", found.drivenBy)}${table("Drives", found.drives)}` : null}
  <//>`;
}

function Claims(/** @type {{id: string}} */ { id }) {
  const answer = useAnswer(CLAIMS, { features: [id] }), list = answer.data?.claims;
  return html`<${Panel} title="Claims and interventions" file=${`claims of ${id}`} answer=${answer} table=${list ? { columns: CLAIMED, rows: list.nodes } : null}
    note="What edits of this feature did to the answers in the real model, beside random features.">
    ${list ? html`<${Table} caption="Claims" columns=${CLAIMED} rows=${list.nodes} empty=${html`Nobody has measured an edit of this feature. <code>atlas intervene --keep --ablate ${shortId(id)}@all --family NAME</code> does.`} />` : null}<//>`;
}

/** @type {import("../parts.js").Column[]} */
const NEAR = [
  { name: "feature", value: (row) => row.feature.id, cell: (row) => html`<${FeatureLink} feature=${row.feature} />` },
  { name: "cosine", value: (row) => row.cosine, cell: (row) => html`<${Meter} value=${row.cosine} />` },
  { name: "circuits", value: (row) => row.feature.nCircuits, number: true },
];

function Nearest(/** @type {{id: string}} */ { id }) {
  const answer = useAnswer(NEAREST, { id }), list = answer.data?.nearestFeatures;
  return html`<${Panel} title="Nearest features" file=${`nearest to ${id}`} answer=${answer} table=${list ? { columns: NEAR, rows: list.nodes } : null}
    quiet=${["BAD_INPUT"]} note="By the direction in which they write.">
    ${list ? html`<${Table} caption="Nearest features" columns=${NEAR} rows=${list.nodes} empty="The atlas holds no vectors of this transcoder set." />` : null}<//>`;
}

/** @type {import("../parts.js").Column[]} */
const THEN = [
  { name: "step", value: (row) => row.step, number: true },
  { name: "circuits", value: (row) => row.nCircuits, number: true, cell: (row) => `${row.nCircuits} of ${row.nConsidered}` },
  { name: "mean influence", value: (row) => row.influence, number: true },
  { name: "cosine to the next", value: (row) => row.cosine, number: true },
  { name: "feature", value: (row) => row.feature, cell: (row) => (row.feature ? html`<a href=${address("feature", row.feature)}>${shortId(row.feature)}</a>` : "absent") },
];

function History(/** @type {{id: string}} */ { id }) {
  const answer = useAnswer(HISTORY, { id }), rows = answer.data?.feature?.history;
  if (rows && !rows.length) return null;
  return html`<${Panel} title="History over checkpoints" file=${`history of ${id}`} answer=${answer} table=${rows ? { columns: THEN, rows } : null}>
    ${rows ? html`<${Table} caption="History over checkpoints" columns=${THEN} rows=${rows} />` : null}<//>`;
}

export function FeaturePage(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  const [id] = place.ids, answer = useAnswer(FEATURE, { id }, { skip: !id }), feature = answer.data?.feature;
  useTitle(feature ? `${labelOf(feature)} ${shortId(id)}` : `Feature ${shortId(id ?? "")}`);
  if (!id || (answer.data && !feature)) return html`<${Missing} what=${`The atlas has no feature with the id ${id}.`} />`;
  return html`<${Heading}>${feature ? labelOf(feature) : "Feature"} <code class="quiet">${shortId(id)}</code><//>
    <p class="quiet">${feature ? html`Feature of layer ${feature.layer}, in ${feature.nCircuits} of ${feature.nConsidered} circuits.` : null}</p>
    <div class="grid wide"><${FeaturePanels} id=${id} key=${id} answer=${answer} /></div>`;
}

