// Two circuits side by side: one scale, shared features at the same place and joined, and what differs below.

import { address, change, go } from "../addresses.js";
import { keep, layOut, paintWhole, paneAlone, readGraph, shown, svgFile, svgPen } from "../drawing.js";
import { useAnswer } from "../graphql.js";
import {
  AnswerOf, CircuitLink, counted, FeatureLink, Heading, pageTheme, Panel, percent, Signed, Table, useNarrow, useTitle, warningsOf,
} from "../parts.js";
import { sentence, Stage } from "../stage.js";
import { html, useCallback, useMemo, useState } from "../vendor/preact.js";
import { weightsOf } from "./circuit.js";
import { Missing } from "./missing.js";

const GRAPH = `id displayAnswer answer answerProbability correct replacementScore completenessScore errorShare derived keptInfluence
    prompt { text displayTokens family pair }
    transcoders { id }
    tokenAttribution { outputs { logit tokens { position weight } } }
    graph {
      nodes { id kind layer position index influence cumulative activation token probability feature label }
      sources targets weights
    }`;
const TWO = `query two($a: ID!, $b: ID!) {
  a: circuit(id: $a) {
    ${GRAPH}
  }
  b: circuit(id: $b) {
    ${GRAPH}
  }
}`;
const FEATURE = "id layer index labels { text }";
const DIFFERENCES = `query differences($a: ID!, $b: ID!, $align: Align!) {
  compareCircuits(a: $a, b: $b, align: $align) {
    mixedSettings
    mixed { setting values }
    featuresOnlyInA(first: 25) { totalCount nodes { influenceA activationA positionsA feature { ${FEATURE} } } }
    featuresOnlyInB(first: 25) { totalCount nodes { influenceB activationB positionsB feature { ${FEATURE} } } }
    featuresInBoth(first: 25) { totalCount nodes { influenceA influenceB difference positionsA positionsB feature { ${FEATURE} } } }
    edgesFlipped(first: 25) { totalCount nodes { weightA weightB difference source { ${FEATURE} } target { ${FEATURE} } } }
  }
}`;
const OTHERS = `query others($id: ID!) {
  circuit(id: $id) { id displayAnswer correct prompt { text pair } }
  similarCircuits(circuit: $id, first: 10) { nodes { similarity nCommon circuit { id displayAnswer correct prompt { text } } } }
}`;
const FIND = `query find($filter: CircuitFilter) {
  circuits(filter: $filter, first: 12) { totalCount nodes { id displayAnswer correct prompt { text family } } }
}`;
const ALIGNS = { FREE: "positions do not count", POSITION: "same position from the start", FROM_END: "same position from the end" };

export function Compare(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  const [a, b] = place.ids;
  if (!a) return html`<${Missing} what="Name two circuits: /compare/ID/ID. The button Compare of a circuit does it." />`;
  return b ? html`<${Both} a=${a} b=${b} params=${place.params} />` : html`<${Choose} id=${a} />`;
}

/** Which circuit to compare with. */
function Choose(/** @type {{id: string}} */ { id }) {
  const answer = useAnswer(OTHERS, { id }), circuit = answer.data?.circuit, pair = circuit?.prompt.pair;
  const [text, setText] = useState("");
  const pairs = useAnswer(FIND, { filter: { pair } }, { skip: !pair }), found = useAnswer(FIND, { filter: { text } }, { skip: text.trim().length < 2 });
  const similar = (answer.data?.similarCircuits.nodes ?? []).map((/** @type {any} */ each) => each.circuit);
  useTitle("Compare");
  const list = (/** @type {any[]} */ rows) => html`<ul class="plain">${rows.filter((each) => each.id !== id).map((each) => html`<li key=${each.id}>
    <a href=${address("compare", [id, each.id])}><bdi>${each.prompt.text.slice(0, 200)}</bdi></a> <${AnswerOf} circuit=${each} /></li>`)}</ul>`;
  return html`<${Heading}>Compare ${circuit ? html`<bdi>${circuit.prompt.text.slice(0, 200)}</bdi>` : ""} with …<//>
    <div class="grid">
      <div>
        ${pair ? html`<${Panel} title="Its pair" answer=${pairs} table=${pairs.data ? { columns: FOUND, rows: pairs.data.circuits.nodes } : null}>${pairs.data ? list(pairs.data.circuits.nodes) : null}<//>` : null}
        <${Panel} title="Most similar" answer=${answer} table=${answer.data ? { columns: FOUND, rows: similar } : null}>${list(similar)}<//>
      </div>
      <${Panel} title="Any other" answer=${found} table=${found.data ? { columns: FOUND, rows: found.data.circuits.nodes } : null}>
        <label>Words of the prompt <input type="search" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label>
        ${found.data && text.trim().length >= 2 ? html`<p class="quiet small">${counted(found.data.circuits.totalCount, "circuit")}</p>${list(found.data.circuits.nodes)}` : null}
      <//>
    </div>`;
}

/** @type {import("../parts.js").Column[]} */
const FOUND = [
  { name: "circuit", value: (row) => row.id }, { name: "prompt", value: (row) => row.prompt.text }, { name: "answer", value: (row) => row.displayAnswer },
];

function Both(/** @type {{a: string, b: string, params: URLSearchParams}} */ { a, b, params }) {
  const answer = useAnswer(TWO, { a, b }), align = params.get("align") ?? "FREE";
  const differences = useAnswer(DIFFERENCES, { a, b, align });
  const data = answer.data;
  useTitle(data?.a && data?.b ? `${data.a.prompt.text.slice(0, 60)} | ${data.b.prompt.text.slice(0, 60)}` : "Compare");
  if (data && (!data.a || !data.b)) return html`<${Missing} what=${`The atlas has no circuit with the id ${data.a ? b : a}.`} />`;
  return html`<${Heading}>Two circuits<//>
    ${data ? html`<${Drawn} data=${data} answer=${answer} params=${params} />` : html`<${Panel} title="Drawing" answer=${answer} />`}
    <${Differences} answer=${differences} align=${align} a=${data?.a} b=${data?.b} />`;
}

function Drawn(/** @type {{data: any, answer: import("../graphql.js").Answer, params: URLSearchParams}} */ { data, answer, params }) {
  const circuits = [data.a, data.b];
  const graphs = useMemo(() => circuits.map((each) => readGraph(each.graph, each.prompt.displayTokens)), [data]);
  const wanted = Number(params.get("edges") ?? 0.8), edges = wanted >= 0 && wanted <= 1 ? wanted : 0.8;
  const [drag, setDrag] = useState(/** @type {number|null} */ (null));
  const fromEnd = params.get("align") === "FROM_END", same = data.a.transcoders.id === data.b.transcoders.id;
  const drawing = useMemo(() => {
    const features = graphs.map((graph) => new Set(graph.nodes.map((node) => node.feature).filter(Boolean)));
    const shared = (/** @type {any} */ node) => same && node.feature !== null && features[0].has(node.feature) && features[1].has(node.feature);
    const only = graphs.map((graph) => Uint8Array.from(graph.nodes, (node) => +(node.kind === "FEATURE" && !shared(node))));
    const kept = graphs.map((graph) => keep(graph, 1, drag ?? edges));
    const ends = graphs.map((graph) => graph.tokens.length), most = Math.max(...ends);
    const layout = layOut(graphs, kept.map((each) => each.nodes), { shared, pairs: (position, g) => (fromEnd ? position + most - ends[g] : position) });
    // The same effect: between the same features, whatever their positions.
    const signs = graphs.map((graph) => {
      /** @type {Map<string, number>} */
      const sums = new Map();
      graph.weights.forEach((weight, e) => { const key = effect(graph, e); if (key) sums.set(key, (sums.get(key) ?? 0) + weight); });
      return sums;
    });
    const flipped = graphs.map((graph, g) => new Set(graph.weights.map((_, e) => e).filter((e) => {
      const key = effect(graph, e), mine = key ? signs[g].get(key) : undefined, other = key ? signs[1 - g].get(key) : undefined;
      return mine !== undefined && other !== undefined && mine * other < 0;
    })));
    /** @type {number[][]} */
    const joins = [];
    if (same) {
      /** @type {Map<string, number[]>} */
      const places = new Map();
      graphs[1].nodes.forEach((node, j) => { if (node.feature) places.set(node.feature, [...(places.get(node.feature) ?? []), j]); });
      graphs[0].nodes.forEach((node, i) => {
        const others = node.feature ? places.get(node.feature) ?? [] : [];
        if (others.length) joins.push([i, others.reduce((one, two) => (gap(graphs[1].nodes[two]) < gap(graphs[1].nodes[one]) ? two : one))]);
        function gap(/** @type {any} */ other) { return Math.abs(other.position - node.position); }
      });
    }
    return { only, kept, layout, flipped, joins };
  }, [graphs, edges, drag, fromEnd]);
  const { only, kept, layout, flipped, joins } = drawing;
  const pinned = spotIn(graphs, params);
  // On a phone two circuits side by side are too small. One is drawn, and the other one takes its place: shared features stay where they are.
  const narrow = useNarrow(), side = params.get("side") === "b" ? 1 : 0;
  const seen = useMemo(() => (narrow ? [side] : [0, 1]), [narrow, side]);
  const drawn = useMemo(() => ({
    graphs: seen.map((g) => graphs[g]), layout: narrow ? paneAlone(layout, side) : layout, kept: seen.map((g) => kept[g]),
    only: seen.map((g) => only[g]), flipped: seen.map((g) => flipped[g]), joins: narrow ? [] : joins,
  }), [drawing, seen]);
  const onPin = useCallback((/** @type {import("../stage.js").Spot|null} */ spot) => change({ node: spot ? graphs[seen[spot.graph]].nodes[spot.node].id : null }, { replace: true }), [graphs, seen]);
  const parts = useMemo(() => circuits.map((each, g) => (each.tokenAttribution.outputs[0] ? weightsOf(each.tokenAttribution.outputs[0], graphs[g].tokens.length) : null)), [graphs]);
  const titles = useMemo(() => circuits.map((each, g) => `${"AB"[g]}  ${each.prompt.text.slice(0, 200)} → ${each.displayAnswer}`), [data]);
  const picture = () => {
    const pen = svgPen(), theme = pageTheme(), { width, height } = paintWhole(pen, graphs, layout, kept, theme, { only, flipped, titles, parts, focus: pinned });
    return svgFile(pen.markup, width, height, titles.join(" | "), theme);
  };
  const rows = graphs.flatMap((graph, g) => graph.nodes.map((node, i) => ({ g, i, node })).filter((each) => kept[g].nodes[each.i]));
  const node = pinned ? graphs[pinned.graph].nodes[pinned.node] : null;
  return html`<${Panel} title="Side by side" file="two circuits" answer=${answer} picture=${picture} table=${{ columns: NODES, rows: rows.map((each) => ({ ...each, only: only[each.g][each.i] })) }}>
    ${circuits.map((each, g) => html`<p key=${g}><strong>${"AB"[g]}</strong> <${CircuitLink} circuit=${each} /> <${AnswerOf} circuit=${each} />${" "}
      <span class="small quiet">replacement ${shown(each.replacementScore)}, completeness ${shown(each.completenessScore)}, error share ${percent(each.errorShare)}</span>${" "}
      ${warningsOf(each).map((text) => html`<span key=${text} class="warning small inline">${text}</span>`)}</p>`)}
    <div class="sliders"><label>Edges <input type="range" min="5" max="100" value=${Math.round((drag ?? edges) * 100)} onInput=${(/** @type {any} */ event) => setDrag(event.target.value / 100)}
      onChange=${(/** @type {any} */ event) => { setDrag(null); change({ edges: event.target.value / 100 }, { replace: true }); }} /> <output>${Math.round((drag ?? edges) * 100)} %</output></label>
      <label>Alignment <select value=${params.get("align") ?? "FREE"} onChange=${(/** @type {any} */ event) => change({ align: event.target.value }, { replace: true })}>
        ${Object.entries(ALIGNS).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}</select></label>
      <button type="button" onClick=${() => go(address("compare", [data.b.id, data.a.id]))}>Swap</button></div>
    ${narrow ? html`<p class="tabs" role="group" aria-label="Which circuit is drawn">${circuits.map((each, g) => html`<button key=${g} type="button" aria-pressed=${side === g ? "true" : "false"}
      onClick=${() => change({ side: g ? "b" : null }, { replace: true })}>${"AB"[g]}: <bdi>${(each.displayAnswer ?? "unknown").slice(0, 16)}</bdi></button>`)}</p>` : null}
    <${Stage} ...${drawn} pinned=${placed(pinned, seen, joins)} onPin=${onPin} name="Two circuits side by side" parts=${seenOf(parts, seen)} titles=${seenOf(titles, seen)} />
    ${same ? null : html`<p class="warning">The circuits have different transcoder sets, so their features are not the same.</p>`}
    ${node ? html`<p class="row"><span>Pinned in ${"AB"[/** @type {any} */ (pinned).graph]}: ${sentence(node, graphs[/** @type {any} */ (pinned).graph])}</span>
      ${node.feature ? html`<a href=${address("feature", node.feature)}>Open the feature</a>` : null}</p>` : null}
  <//>`;
}

/** What belongs to the circuits that are drawn. @template T @param {T[]} both @param {number[]} seen @returns {T[]} */
function seenOf(both, seen) {
  return useMemo(() => seen.map((g) => both[g]), [both, seen]);
}

/**
 * The pinned node among the circuits that are drawn; where its circuit is not drawn, the same feature in the other one.
 * @param {import("../stage.js").Spot|null} pinned @param {number[]} seen @param {number[][]} joins
 */
function placed(pinned, seen, joins) {
  if (!pinned) return null;
  const graph = seen.indexOf(pinned.graph);
  if (graph >= 0) return { graph, node: pinned.node };
  const join = joins.find((each) => each[pinned.graph] === pinned.node);
  return join ? { graph: 0, node: join[seen[0]] } : null;
}

/** Names an effect by its features; null for effects of errors, tokens and answers. @param {any} graph @param {number} e */
function effect(graph, e) {
  const source = graph.nodes[graph.sources[e]], target = graph.nodes[graph.targets[e]];
  return source.feature && target.feature ? `${source.feature}|${target.feature}` : null;
}

/** @returns {import("../stage.js").Spot|null} */
function spotIn(/** @type {any[]} */ graphs, /** @type {URLSearchParams} */ params) {
  const id = params.get("node");
  for (let graph = 0; id && graph < graphs.length; graph++) {
    const node = graphs[graph].nodes.findIndex((/** @type {any} */ each) => each.id === id);
    if (node >= 0) return { graph, node };
  }
  return null;
}

/** @type {import("../parts.js").Column[]} */
const NODES = [
  { name: "circuit", value: (row) => "AB"[row.g] }, { name: "node", value: (row) => row.node.id }, { name: "name", value: (row) => row.node.name },
  { name: "kind", value: (row) => row.node.kind }, { name: "layer", value: (row) => row.node.layer }, { name: "position", value: (row) => row.node.position },
  { name: "influence", value: (row) => row.node.influence }, { name: "in one circuit only", value: (row) => Boolean(row.only) },
];

function Differences(/** @type {any} */ { answer, align, a, b }) {
  const found = answer.data?.compareCircuits;
  const rows = found ? [
    ...found.featuresOnlyInA.nodes.map((/** @type {any} */ each) => ({ ...each, where: "only in A", difference: each.influenceA })),
    ...found.featuresOnlyInB.nodes.map((/** @type {any} */ each) => ({ ...each, where: "only in B", difference: each.influenceB === null ? null : -each.influenceB })),
    ...found.featuresInBoth.nodes.map((/** @type {any} */ each) => ({ ...each, where: "in both" })),
  ] : [];
  const most = Math.max(1e-12, ...rows.map((each) => Math.abs(each.difference ?? 0)));
  const at = (/** @type {any} */ circuit, /** @type {number[]|undefined} */ positions) => (positions ?? []).map((p) => circuit?.prompt.displayTokens[p] ?? p).join(" · ");
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: "feature", value: (row) => row.feature.id, cell: (row) => html`<${FeatureLink} feature=${row.feature} />` },
    { name: "where", value: (row) => row.where },
    { name: "A − B", value: (row) => row.difference, cell: (row) => (row.difference === null ? "unknown" : html`<${Signed} value=${row.difference} most=${most} />`), help: "influence in A minus influence in B" },
    { name: "influence in A", value: (row) => row.influenceA ?? null, number: true, cell: (row) => (row.where === "only in B" ? "—" : shown(row.influenceA)) },
    { name: "influence in B", value: (row) => row.influenceB ?? null, number: true, cell: (row) => (row.where === "only in A" ? "—" : shown(row.influenceB)) },
    { name: "fires on in A", value: (row) => at(a, row.positionsA), cell: (row) => html`<bdi>${at(a, row.positionsA)}</bdi>` },
    { name: "fires on in B", value: (row) => at(b, row.positionsB), cell: (row) => html`<bdi>${at(b, row.positionsB)}</bdi>` },
  ];
  const kinds = found ? /** @type {[string, string, any][]} */ ([["Only in A", "only in A", found.featuresOnlyInA], ["Only in B", "only in B", found.featuresOnlyInB], ["In both", "in both", found.featuresInBoth]]) : [];
  return html`<${Panel} title="Differences" file="differences of two circuits" answer=${answer} table=${found ? { columns, rows } : null}
    note=${`Alignment: ${ALIGNS[/** @type {keyof typeof ALIGNS} */ (align)] ?? align}.`}>
    ${found?.mixedSettings ? html`<p class="warning">The circuits have different settings: ${found.mixed.map((/** @type {any} */ each) => `${each.setting} (${each.values.join(" / ")})`).join(", ")}. A feature may be missing only because it was pruned.</p>` : null}
    ${kinds.map(([title, where, list]) => html`<h3 key=${where}>${title} <span class="quiet small">${list.nodes.length} of ${counted(list.totalCount, "feature")}</span></h3>
      <${Table} caption=${title} columns=${columns.filter((each) => each.name !== "where" && !(where === "only in A" && each.name.endsWith("in B")) && !(where === "only in B" && each.name.endsWith("in A")))}
        rows=${rows.filter((each) => each.where === where)} empty="No feature." />`)}
    ${found ? html`<h3>Flipped effects <span class="quiet small">${counted(found.edgesFlipped.totalCount, "effect")} whose sign differs</span></h3>
      <${Table} caption="Flipped effects" columns=${FLIPPED} rows=${found.edgesFlipped.nodes} empty="No effect changes its sign." />` : null}
  <//>`;
}

/** @type {import("../parts.js").Column[]} */
const FLIPPED = [
  { name: "from", value: (row) => row.source.id, cell: (row) => html`<${FeatureLink} feature=${row.source} />` },
  { name: "to", value: (row) => row.target.id, cell: (row) => html`<${FeatureLink} feature=${row.target} />` },
  { name: "weight in A", value: (row) => row.weightA, number: true }, { name: "weight in B", value: (row) => row.weightB, number: true },
];
