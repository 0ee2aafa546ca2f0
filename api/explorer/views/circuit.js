// One circuit: its drawing, the node that is pinned, its scores and warnings, its supernodes, and circuits like it.

import { address, change } from "../addresses.js";
import { apart, keep, layOut, paintWhole, readGraph, shown, svgFile, svgPen } from "../drawing.js";
import { useAnswer } from "../graphql.js";
import {
  AnswerOf, CircuitLink, counted, Heading, Meter, pageTheme, Panel, percent, Signed, Table, useTitle, warningsOf,
} from "../parts.js";
import { sentence, Stage } from "../stage.js";
import { groupedGraph } from "../supernodes.js";
import { html, useCallback, useMemo, useState } from "../vendor/preact.js";
import { FeatureBeside } from "./feature.js";
import { Missing } from "./missing.js";
import { GroupForm, TagForm } from "./writing.js";

export const CIRCUIT = `query circuit($id: ID!) {
  circuit(id: $id) {
    id target displayAnswer answer answerProbability correct replacementScore completenessScore errorShare derived keptInfluence
    nodeThreshold edgeThreshold maxFeatureNodes maxEdges dtype nActiveFeatures nNodes nEdges tool slug title
    prompt { id text displayTokens family tags pair expected }
    transcoders { id name kind model { id name } }
    run { id }
    groupings { method authors nSupernodes share }
    graph {
      nodes { id kind layer position index influence cumulative activation token probability feature label }
      sources targets weights
    }
  }
}`;
const TOKENS = `query tokenAttribution($id: ID!) {
  circuit(id: $id) {
    tokenAttribution { outputs { logit probability total errors other biasesAndPruned tokens { position token weight } } }
  }
}`;
const SUPERNODES = `query supernodes($id: ID!, $method: String, $author: String) {
  circuit(id: $id) {
    supernodes(method: $method, author: $author, first: 100) {
      totalCount
      nodes { id label position method author score influence members { id } }
    }
  }
}`;
const LIKE = `query like($id: ID!, $pair: String, $paired: Boolean!) {
  similarCircuits(circuit: $id, first: 6) {
    nodes { similarity nCommon circuit { id displayAnswer correct prompt { text family pair } } }
  }
  circuits(filter: { pair: $pair }, first: 10) @include(if: $paired) {
    nodes { id displayAnswer correct prompt { text family pair } }
  }
}`;

export function Circuit(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  const [id] = place.ids, { params } = place;
  const answer = useAnswer(CIRCUIT, { id }, { skip: !id }), circuit = answer.data?.circuit;
  useTitle(circuit ? circuit.prompt.text.slice(0, 120) : "Circuit");
  if (!id || (answer.data && !circuit)) return html`<${Missing} what=${`The atlas has no circuit with the id ${id}.`} />`;
  if (!circuit) return html`<${Heading}>Circuit<//><${Panel} title="Circuit" answer=${answer} />`;
  return html`<${Loaded} key=${circuit.id} circuit=${circuit} answer=${answer} params=${params} />`;
}

/** A share between 0 and 1 in the address. @param {URLSearchParams} params @param {string} name @param {number} otherwise */
const shareIn = (params, name, otherwise) => {
  const value = Number(params.get(name) ?? otherwise);
  return Number.isFinite(value) && value >= 0 && value <= 1 ? value : otherwise;
};

function Loaded(/** @type {{circuit: any, answer: import("../graphql.js").Answer, params: URLSearchParams}} */ { circuit, answer, params }) {
  const { id, prompt } = circuit;
  const whole = useMemo(() => readGraph(circuit.graph, prompt.displayTokens), [circuit]);
  // Large graphs open with their strongest part; the sliders show the rest.
  const large = whole.weights.length > 3000;
  const nodeShare = shareIn(params, "nodes", large ? 0.8 : 1), edgeShare = shareIn(params, "edges", large ? 0.6 : 0.9);
  const view = params.get("view") === "supernodes" ? "supernodes" : "features";
  const method = params.get("method"), opened = params.getAll("open");
  const tokens = useAnswer(TOKENS, { id });
  const supernodes = useAnswer(SUPERNODES, { id, method, author: null }, { skip: view !== "supernodes" });
  const groups = view === "supernodes" ? supernodes.data?.circuit?.supernodes.nodes : null;
  const graph = useMemo(() => (groups ? groupedGraph(whole, groups, new Set(opened)) : whole), [whole, groups, opened.join("|")]);
  const graphs = useMemo(() => [graph], [graph]);
  const [drag, setDrag] = useState(/** @type {{nodes?: number, edges?: number}} */ ({}));
  const nodes = drag.nodes ?? nodeShare, edges = drag.edges ?? edgeShare;
  const kept = useMemo(() => [keep(graph, nodes, edges)], [graph, nodes, edges]);
  const layout = useMemo(() => layOut(graphs, kept.map((each) => each.nodes)), [graphs, kept]);
  const outputs = tokens.data?.circuit?.tokenAttribution.outputs ?? [];
  const output = outputs[Math.min(Number(params.get("output")) || 0, outputs.length - 1)];
  const parts = useMemo(() => [output ? weightsOf(output, graph.tokens.length) : null], [output, graph]);
  const pinned = pinnedIn(graph, params);
  const onPin = useCallback((/** @type {import("../stage.js").Spot|null} */ spot) => {
    const node = spot && graph.nodes[spot.node];
    change({ node: node ? shortNode(node.id, id) : null, feature: null });
  }, [graph, id]);
  const picture = useCallback(() => {
    const pen = svgPen(), theme = pageTheme();
    const { width, height } = paintWhole(pen, graphs, layout, kept, theme, { titles: [prompt.text], focus: pinned === null ? null : { graph: 0, node: pinned }, parts });
    return svgFile(pen.markup, width, height, prompt.text, theme);
  }, [graphs, layout, kept, pinned, parts]);
  const node = pinned === null ? null : graph.nodes[pinned];
  const rows = useMemo(() => graph.nodes.map((each, i) => ({ ...each, i })).filter((each) => kept[0].nodes[each.i]), [graph, kept]);
  const warnings = warningsOf(circuit);
  return html`<${Heading}><bdi>${prompt.text.length > 280 ? prompt.text.slice(0, 279) + "…" : prompt.text}</bdi> <span class="quiet">→</span> <${AnswerOf} circuit=${circuit} /><//>
    <${Facts} circuit=${circuit} />
    ${warnings.map((text) => html`<p key=${text} class="warning" role="note">${text}</p>`)}
    <div class="circuit">
      <div>
        <${Panel} title="Circuit" file=${`circuit ${prompt.text}`} answer=${answer} table=${{ columns: NODES, rows }} picture=${picture}>
          <div class="sliders">
            <span class="tabs" role="group" aria-label="What is drawn">
              <button type="button" aria-pressed=${view === "features" ? "true" : "false"} onClick=${() => change({ view: null, open: null, node: null })}>Features</button>
              <button type="button" aria-pressed=${view === "supernodes" ? "true" : "false"} disabled=${!circuit.groupings.length}
                title=${circuit.groupings.length ? "" : "Nobody has grouped the features of this circuit"} onClick=${() => change({ view: "supernodes", node: null, feature: null })}>Supernodes</button></span>
            ${view === "supernodes" ? html`<label>Grouping <select value=${method ?? groups?.[0]?.method ?? ""} onChange=${(/** @type {any} */ event) => change({ method: event.target.value, open: null, node: null })}>
              ${circuit.groupings.map((/** @type {any} */ each) => html`<option key=${each.method} value=${each.method}>${each.method} (${each.nSupernodes})</option>`)}</select></label>` : null}
            <${Slider} name="Nodes" value=${nodes} onDrag=${(/** @type {number} */ value) => setDrag({ ...drag, nodes: value })} onDone=${(/** @type {number} */ value) => { setDrag({}); change({ nodes: value }, { replace: true }); }} />
            <${Slider} name="Edges" value=${edges} onDrag=${(/** @type {number} */ value) => setDrag({ ...drag, edges: value })} onDone=${(/** @type {number} */ value) => { setDrag({}); change({ edges: value }, { replace: true }); }} />
            <span class="quiet small">${kept[0].nNodes} of ${graph.nodes.length} nodes, ${kept[0].nEdges.toLocaleString("en")} of ${graph.weights.length.toLocaleString("en")} edges</span>
          </div>
          ${view === "supernodes" && supernodes.error ? html`<p class="trouble">${supernodes.error.message}</p>` : null}
          <${Stage} graphs=${graphs} layout=${layout} kept=${kept} pinned=${pinned === null ? null : { graph: 0, node: pinned }} onPin=${onPin}
            name=${`Circuit of “${prompt.text.slice(0, 200)}”`} parts=${parts} />
          ${outputs.length > 1 ? html`<p class="small"><label>Token attribution to <select value=${params.get("output") ?? "0"} onChange=${(/** @type {any} */ event) => change({ output: event.target.value }, { replace: true })}>
            ${outputs.map((/** @type {any} */ each, /** @type {number} */ i) => html`<option key=${i} value=${i}>${each.logit} (${percent(each.probability)})</option>`)}</select></label></p>` : null}
        <//>
      </div>
      <div class="side">
        ${node ? html`<${NodePanel} graph=${graph} kept=${kept[0]} at=${pinned} answer=${answer} onPin=${onPin} opened=${opened} />
          ${node.feature ? html`<${FeatureBeside} id=${node.feature} key=${node.feature} except=${id} />` : null}`
        : html`<${Strongest} graph=${graph} kept=${kept[0]} onPin=${onPin} answer=${answer} circuit=${circuit} grouped=${view === "supernodes"} />`}
      </div>
      <div class="more">
        ${view === "supernodes" ? html`<${Groups} answer=${supernodes} opened=${opened} whole=${whole} circuit=${circuit} />` : null}
        <div class="grid">
          <${Like} circuit=${circuit} />
          <${TokenPanel} answer=${tokens} output=${output} tokens=${graph.tokens} />
        </div>
      </div>
    </div>`;
}

/** The part of a node's id after the circuit's. @param {string} node @param {string} circuit */
const shortNode = (node, circuit) => (node.startsWith(`${circuit}/`) ? node.slice(circuit.length + 1) : node);

/** The pinned node: by its id, or the most influential one of a feature. @param {import("../drawing.js").Graph} graph @param {URLSearchParams} params */
export function pinnedIn(graph, params) {
  const node = params.get("node"), feature = params.get("feature");
  const fits = graph.nodes.map((_, i) => i).filter((i) => (node ? graph.nodes[i].id === node || graph.nodes[i].id.endsWith(`/${node}`) : feature && graph.nodes[i].feature === feature));
  return fits.length ? fits.reduce((a, b) => (/** @type {any} */ (graph.nodes[b]).strength > /** @type {any} */ (graph.nodes[a]).strength ? b : a)) : null;
}

/** Contributions of the tokens by position. @param {any} output @param {number} n */
export function weightsOf(output, n) {
  const weights = new Array(n).fill(0);
  for (const part of output.tokens) if (part.position < n) weights[part.position] += part.weight;
  return weights;
}

/** @type {import("../parts.js").Column[]} */
const NODES = [
  { name: "id", value: (row) => row.id }, { name: "kind", value: (row) => row.kind }, { name: "layer", value: (row) => row.layer },
  { name: "position", value: (row) => row.position }, { name: "name", value: (row) => row.name }, { name: "feature", value: (row) => row.feature },
  { name: "influence", value: (row) => row.influence }, { name: "activation", value: (row) => row.activation },
];

function Slider(/** @type {{name: string, value: number, onDrag: (value: number) => void, onDone: (value: number) => void}} */ { name, value, onDrag, onDone }) {
  const at = (/** @type {any} */ event) => Number(event.target.value) / 100;
  return html`<label title=${`keeps the strongest ${name.toLowerCase()} that together hold this share of the influence`}>${name} <input type="range" min="5" max="100" step="1" value=${Math.round(value * 100)}
    onInput=${(/** @type {any} */ event) => onDrag(at(event))} onChange=${(/** @type {any} */ event) => onDone(at(event))} /> <output>${Math.round(value * 100)} %</output></label>`;
}

function Facts(/** @type {{circuit: any}} */ { circuit }) {
  const settings = [
    circuit.target, circuit.nodeThreshold === null ? null : `nodes ${circuit.nodeThreshold}`, circuit.edgeThreshold === null ? null : `edges ${circuit.edgeThreshold}`,
    circuit.maxFeatureNodes === null ? null : `at most ${circuit.maxFeatureNodes} features`, circuit.dtype, circuit.tool,
  ].filter(Boolean).join(", ");
  return html`<div class="row small facing" aria-label="Scores and settings" role="group">
    <span title="share of the influence on the answer that runs through features">replacement <strong>${shown(circuit.replacementScore)}</strong></span>
    <span title="share of the nodes' inputs that do not come from error nodes">completeness <strong>${shown(circuit.completenessScore)}</strong></span>
    <span title="influence of error nodes">error share <strong>${percent(circuit.errorShare)}</strong></span>
    <span>p(answer) <strong>${shown(circuit.answerProbability)}</strong>${circuit.prompt.expected ? html`, expected <bdi>${circuit.prompt.expected}</bdi>` : null}</span>
    <span>${circuit.transcoders.model.name} · ${circuit.transcoders.name}</span>
    <span class="quiet" title="settings of the attribution">${settings}</span>
    <span class="tags">${circuit.prompt.family ? html`<a class="tag" href=${address("circuits", [], { family: circuit.prompt.family })}>${circuit.prompt.family}</a>` : null}${
      circuit.prompt.tags.map((/** @type {string} */ tag) => html`<a key=${tag} class="tag" href=${address("circuits", [], { tag })}>${tag}</a>`)}</span>
    <${TagForm} prompt=${circuit.prompt} />
  </div>`;
}

/** The pinned node with its inputs and outputs. */
function NodePanel(/** @type {any} */ { graph, kept, at, answer, onPin, opened }) {
  const node = graph.nodes[at];
  const list = (/** @type {"inputs"|"outputs"} */ way) => graph[way][at].filter((/** @type {number} */ e) => kept.edges[e])
    .map((/** @type {number} */ e) => ({ e, other: way === "inputs" ? graph.sources[e] : graph.targets[e], weight: graph.weights[e], share: graph.shares[e] }))
    .sort((/** @type {any} */ a, /** @type {any} */ b) => Math.abs(b.weight) - Math.abs(a.weight));
  const inputs = list("inputs"), outputs = list("outputs");
  const rows = [...inputs.map((/** @type {any} */ each) => ({ way: "input", ...each })), ...outputs.map((/** @type {any} */ each) => ({ way: "output", ...each }))];
  const most = Math.max(1e-12, ...rows.map((each) => Math.abs(each.weight)));
  const table = { columns: [
    { name: "way", value: (/** @type {any} */ row) => row.way }, { name: "node", value: (/** @type {any} */ row) => graph.nodes[row.other].id },
    { name: "name", value: (/** @type {any} */ row) => graph.nodes[row.other].name }, { name: "weight", value: (/** @type {any} */ row) => row.weight }], rows };
  return html`<${Panel} title="Pinned node" file=${`node ${node.id}`} answer=${{ ...answer, error: null, waiting: false }} table=${table} data=${rows}>
    <p class="row ends"><span>${sentence(node.kind === "FEATURE" ? { ...node, name: node.short } : node, graph)}</span><button type="button" onClick=${() => onPin(null)}>Unpin</button></p>
    ${node.kind === "GROUP" ? html`<p><button type="button" class="strong" onClick=${() => change({ open: [...opened, node.group], node: null })}>Open into ${counted(node.members.length, "feature")}</button></p>` : null}
    <${Ends} title="Inputs" rows=${inputs} graph=${graph} most=${most} onPin=${onPin} />
    <${Ends} title="Outputs" rows=${outputs} graph=${graph} most=${most} onPin=${onPin} />
  <//>`;
}

function Ends(/** @type {any} */ { title, rows, graph, most, onPin }) {
  const [all, setAll] = useState(false), shownRows = all ? rows : rows.slice(0, 7);
  return html`<h3>${title} <span class="quiet small">${rows.length}</span></h3>
    ${rows.length ? null : html`<p class="quiet small">None is kept. Move the sliders to see weaker ones.</p>`}
    <ul class="plain small">${shownRows.map((/** @type {any} */ { e, other, weight }) => html`<li key=${e} class="row ends"><button type="button" class="link" onClick=${() => onPin({ graph: 0, node: other })}>
      ${nameAt(graph.nodes[other], graph)}</button><${Signed} value=${weight} most=${most} /></li>`)}</ul>
    ${rows.length > 7 ? html`<button type="button" class="link small" onClick=${() => setAll(!all)}>${all ? "Fewer" : `All ${rows.length}`}</button>` : null}`;
}

/** The name of a node in a list, with its place. @param {any} node @param {any} graph */
function nameAt(node, graph) {
  const token = apart(String(graph.tokens[node.position] ?? node.position), 24), name = apart(node.name);
  if (node.kind === "TOKEN") return `${name} (${node.position})`;
  if (node.kind === "LOGIT" || node.kind === "GROUP") return name;
  return node.kind === "FEATURE" ? `${node.label ? apart(node.short) : "no label"} ${node.layer}/${node.index} · ${token}` : `${name} · ${token}`;
}

/** What to look at first: the features, or supernodes, with the most influence. */
function Strongest(/** @type {any} */ { graph, kept, onPin, answer, circuit, grouped }) {
  const rows = graph.nodes.map((/** @type {any} */ node, /** @type {number} */ i) => ({ node, i }))
    .filter((/** @type {any} */ each) => kept.nodes[each.i] && (each.node.kind === "FEATURE" || each.node.kind === "GROUP"))
    .sort((/** @type {any} */ a, /** @type {any} */ b) => b.node.strength - a.node.strength).slice(0, 14);
  const most = Math.max(1e-12, ...rows.map((/** @type {any} */ each) => each.node.strength));
  const table = { columns: [
    { name: "node", value: (/** @type {any} */ row) => row.node.id }, { name: "name", value: (/** @type {any} */ row) => row.node.name },
    { name: "influence", value: (/** @type {any} */ row) => row.node.influence }], rows };
  return html`<${Panel} title=${grouped ? "Strongest supernodes" : "Strongest features"} file=${`strongest of ${circuit.prompt.text}`} answer=${{ ...answer, error: null, waiting: false }} table=${table}
    note="Click a node in the drawing, or here, to see its inputs and outputs, its meaning, and the other circuits that share it.">
    <ul class="plain small">${rows.map((/** @type {any} */ { node, i }) => html`<li key=${node.id} class="row ends">
      <button type="button" class="link" onClick=${() => onPin({ graph: 0, node: i })}>${nameAt(node, graph)}</button><${Meter} value=${node.strength} most=${most} /></li>`)}</ul>
    ${rows.length ? null : html`<p class="quiet">No feature is kept.</p>`}
  <//>`;
}

/** The other circuits of the minimal pair, and the most similar ones. */
function Like(/** @type {{circuit: any}} */ { circuit }) {
  const { id, prompt } = circuit;
  const similar = useAnswer(LIKE, { id, pair: prompt.pair, paired: Boolean(prompt.pair) });
  const others = similar.data?.circuits?.nodes.filter((/** @type {any} */ each) => each.id !== id) ?? [];
  const rows = similar.data?.similarCircuits.nodes ?? [];
  const line = (/** @type {any} */ other, /** @type {any} */ extra) => html`<li key=${other.id} class="row ends"><span><${CircuitLink} circuit=${other} /> <${AnswerOf} circuit=${other} /></span>
    <span class="row">${extra}<a class="button" href=${address("compare", [id, other.id])} aria-label=${`Compare with ${other.prompt.text.slice(0, 80)}`}>Compare</a></span></li>`;
  return html`<${Panel} title="Compare with" file=${`like ${prompt.text}`} answer=${similar} table=${similar.data ? { columns: SIMILAR, rows } : null}>
    ${prompt.pair ? html`<h3>Its pair <span class="quiet small">the same but for one word: ${prompt.pair}</span></h3>
      <ul class="plain">${others.map((/** @type {any} */ each) => line(each, null))}</ul>${similar.data && !others.length ? html`<p class="quiet small">The atlas does not hold the other circuit.</p>` : null}` : null}
    <h3>Most similar</h3><ul class="plain">${rows.map((/** @type {any} */ each) => line(each.circuit, html`<span class="quiet small">${percent(each.similarity)}, ${counted(each.nCommon, "feature")} shared</span>`))}</ul>
    ${similar.data && !rows.length ? html`<p class="quiet small">No circuit shares a feature that is not everywhere.</p>` : null}
    <p class="small"><a href=${address("compare", id)}>Another circuit …</a></p>
  <//>`;
}

/** @type {import("../parts.js").Column[]} */
const SIMILAR = [
  { name: "circuit", value: (row) => row.circuit.id }, { name: "prompt", value: (row) => row.circuit.prompt.text },
  { name: "similarity", value: (row) => row.similarity }, { name: "features shared", value: (row) => row.nCommon },
];

function TokenPanel(/** @type {any} */ { answer, output, tokens }) {
  const rows = output?.tokens ?? [], most = Math.max(1e-12, ...rows.map((/** @type {any} */ each) => Math.abs(each.weight)));
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: "position", value: (row) => row.position, number: true },
    { name: "token", value: (row) => tokens[row.position] ?? row.token, cell: (row) => html`<bdi>${tokens[row.position] ?? row.token}</bdi>` },
    { name: "contribution", value: (row) => row.weight, cell: (row) => html`<${Signed} value=${row.weight} most=${most} />` },
  ];
  return html`<${Panel} title="Token attribution" answer=${answer} table=${output ? { columns, rows } : null}>
    ${output ? html`<p class="small quiet">What each token adds to the logit of <bdi>${output.logit}</bdi>, over all paths of the pruned graph.</p>
      <${Table} caption="Token attribution" columns=${columns} rows=${rows} />
      <p class="small quiet">errors ${shown(output.errors)}, biases and pruned ${shown(output.biasesAndPruned)}, total ${shown(output.total)}</p>` : null}
  <//>`;
}

/** The supernodes as a list, to open, close, name and make. */
function Groups(/** @type {any} */ { answer, opened, whole, circuit }) {
  const list = answer.data?.circuit?.supernodes;
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: "supernode", value: (row) => row.label, cell: (row) => html`<bdi>${row.label}</bdi>` },
    { name: "position", value: (row) => row.position, number: true, cell: (row) => (row.position === null ? "several" : whole.tokens[row.position] ?? row.position) },
    { name: "features", value: (row) => row.members.length, number: true },
    { name: "influence", value: (row) => row.influence, number: true },
    { name: "score", value: (row) => row.score, number: true, cell: (row) => (row.score === null ? "" : shown(row.score)) },
    { name: "", value: () => "", cell: (row) => html`<button type="button" aria-pressed=${opened.includes(row.id) ? "true" : "false"} onClick=${() => change({ open: opened.includes(row.id) ? opened.filter((/** @type {string} */ each) => each !== row.id) : [...opened, row.id], node: null }, { replace: true })}>${
      opened.includes(row.id) ? "Close" : "Open"}</button>` },
  ];
  return html`<${Panel} title="Supernodes" file=${`supernodes of ${circuit.prompt.text}`} answer=${answer} table=${list ? { columns: columns.slice(0, 5), rows: list.nodes } : null}>
    ${list ? html`<${Table} caption="Supernodes" columns=${columns} rows=${list.nodes} rowKey=${(/** @type {any} */ row) => row.id} empty="No grouping fits." />` : null}
    <${GroupForm} circuit=${circuit} whole=${whole} supernodes=${list?.nodes ?? []} again=${answer.again} />
  <//>`;
}
