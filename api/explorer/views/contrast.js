// Two sets of circuits against each other: which features belong to the one and not to the other, and a heatmap.

import { address, change } from "../addresses.js";
import { cut, shown, svgFile, svgPen } from "../drawing.js";
import { useAnswer } from "../graphql.js";
import { listNames, listOf } from "../lists.js";
import { counted, FeatureLink, Heading, labelOf, pageTheme, Panel, percent, shortId, Table, useTitle } from "../parts.js";
import { html, useMemo, useState } from "../vendor/preact.js";

const CHOICES = `query choices { families { name nCircuits tags } }`;
const SHARED = `query ranked($families: [String!], $tags: [String!], $circuits: [ID!], $absentFrom: AbsentFrom, $minCircuits: Int!) {
  sharedFeatures(families: $families, tags: $tags, circuits: $circuits, absentFrom: $absentFrom, minCircuits: $minCircuits, orderBy: P_VALUE, first: 25) {
    totalCount nTested nOnBothSides mixedSettings
    mixed { setting values }
    considered { nCircuits countedBy nUnits }
    outside { nCircuits nUnits }
    nodes { nCircuits nConsidered share nCircuitsOutside nConsideredOutside shareOutside lift pValue qValue meanInfluence feature { id layer index labels { text } } }
  }
}`;
const HEAT = `query heat($features: [ID!]!, $a: CircuitSet!, $b: CircuitSet!) {
  a: circuitsSharing(features: $features, mode: ANY, among: $a, first: 60, countBy: CIRCUITS) { totalCount nodes { circuit { id displayAnswer prompt { text } } uses { influence feature { id } } } }
  b: circuitsSharing(features: $features, mode: ANY, among: $b, first: 60, countBy: CIRCUITS) { totalCount nodes { circuit { id displayAnswer prompt { text } } uses { influence feature { id } } } }
}`;

/**
 * A set as the address names it: `family:NAME`, `tag:NAME` or `circuits:ID,ID`. @param {string[]} specs
 * @returns {{families?: string[], tags?: string[], circuits?: string[]}|null}
 */
function setOf(specs) {
  /** @type {any} */
  const set = {};
  for (const spec of specs) {
    const [kind, ...rest] = spec.split(":"), value = rest.join(":");
    if (kind === "family" && value) set.families = [...(set.families ?? []), value];
    if (kind === "tag" && value) set.tags = [...(set.tags ?? []), value];
    if (kind === "circuits" && value) set.circuits = [...(set.circuits ?? []), ...value.split(",")];
  }
  return Object.keys(set).length ? set : null;
}

const nameOf = (/** @type {string[]} */ specs) => specs.map((each) => (each.startsWith("circuits:") ? counted(each.split(",").length, "chosen circuit") : each.replace(/^\w+:/, ""))).join(" and ");

export function Contrast(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  const a = place.params.getAll("a"), b = place.params.getAll("b"), setA = setOf(a), setB = setOf(b);
  const choices = useAnswer(CHOICES), families = choices.data?.families ?? [];
  useTitle(setA ? `${nameOf(a)} against ${setB ? nameOf(b) : "all others"}` : "Contrast");
  return html`<${Heading}>${setA ? html`${nameOf(a)} <span class="quiet">against</span> ${setB ? nameOf(b) : "all others"}` : "Two sets of circuits"}<//>
    <${Panel} title="Sets" answer=${choices} table=${null} note="A set is a family, a tag, or a list that you saved in the table of circuits. Several conditions must all be met.">
      <div class="filters"><${Chooser} name="A" param="a" specs=${a} families=${families} /><${Chooser} name="B" param="b" specs=${b} families=${families} />
        ${setA && setB ? html`<a class="button" href=${address("contrast", [], { a: b, b: a })}>Swap</a>` : null}</div>
    <//>
    ${setA ? html`<${Ranked} a=${a} b=${b} setA=${setA} setB=${setB} params=${place.params} />` : html`<p class="quiet">Choose a set A. Without a set B, A is compared with all other circuits.</p>`}`;
}

function Chooser(/** @type {{name: string, param: string, specs: string[], families: any[]}} */ { name, param, specs, families }) {
  const [tag, setTag] = useState("");
  const tags = [...new Set(families.flatMap((each) => each.tags))].sort();
  const add = (/** @type {string} */ spec) => spec && change({ [param]: [...specs.filter((each) => each !== spec), spec] });
  return html`<div class="row"><strong>${name}</strong>
    <label>Family <select value="" onChange=${(/** @type {any} */ event) => add(event.target.value && `family:${event.target.value}`)}><option value="">choose …</option>
      ${families.map((each) => html`<option key=${each.name} value=${each.name}>${each.name} (${each.nCircuits})</option>`)}</select></label>
    <label>Tag <input value=${tag} size="12" list="contrast-tags" onInput=${(/** @type {any} */ event) => setTag(event.target.value)} onChange=${(/** @type {any} */ event) => { add(event.target.value.trim() && `tag:${event.target.value.trim()}`); setTag(""); }} /></label>
    <datalist id="contrast-tags">${tags.map((each) => html`<option key=${each} value=${each} />`)}</datalist>
    ${listNames().length ? html`<label>List <select value="" onChange=${(/** @type {any} */ event) => add(event.target.value && `circuits:${listOf(event.target.value).join(",")}`)}><option value="">choose …</option>
      ${listNames().map((each) => html`<option key=${each} value=${each}>${each} (${listOf(each).length})</option>`)}</select></label>` : null}
    <span class="tags">${specs.map((spec) => html`<button key=${spec} type="button" aria-label=${`Remove ${spec}`} onClick=${() => change({ [param]: specs.filter((each) => each !== spec) })}>${nameOf([spec])} ✕</button>`)}</span></div>`;
}

function Ranked(/** @type {any} */ { a, b, setA, setB, params }) {
  const least = Math.max(1, Number(params.get("least")) || 2), way = params.get("way") === "b" && setB ? "b" : "a";
  const [inside, outside] = way === "a" ? [setA, setB] : [setB, setA];
  const variables = { ...inside, absentFrom: outside ? { ...outside, maxCircuits: 1_000_000 } : null, minCircuits: least };
  const answer = useAnswer(SHARED, variables), found = answer.data?.sharedFeatures;
  const names = way === "a" ? ["A", setB ? "B" : "others"] : ["B", "A"];
  /** @type {import("../parts.js").Column[]} */
  const columns = [
    { name: "feature", value: (row) => row.feature.id, cell: (row) => html`<${FeatureLink} feature=${row.feature} />` },
    { name: `in ${names[0]}`, value: (row) => `${row.nCircuits} of ${row.nConsidered}`, number: true, cell: (row) => html`${row.nCircuits} of ${row.nConsidered} <span class="quiet">(${percent(row.share)})</span>` },
    { name: `in ${names[1]}`, value: (row) => `${row.nCircuitsOutside} of ${row.nConsideredOutside}`, number: true, cell: (row) => html`${row.nCircuitsOutside} of ${row.nConsideredOutside} <span class="quiet">(${percent(row.shareOutside)})</span>` },
    { name: "lift", value: (row) => row.lift, number: true, cell: (row) => (row.lift === null ? "only there" : shown(row.lift)) },
    { name: "q", value: (row) => row.qValue, number: true, help: "p-value corrected for all features tested (Benjamini and Hochberg)" },
    { name: "mean influence", value: (row) => row.meanInfluence, number: true },
  ];
  const features = useMemo(() => found?.nodes.slice(0, 20).map((/** @type {any} */ each) => each.feature) ?? [], [found]);
  return html`<${Panel} title="Features by contrast" file=${`contrast ${nameOf(a)}`} answer=${answer} table=${found ? { columns, rows: found.nodes } : null}>
      <div class="sliders">
        ${setB ? html`<span class="tabs" role="group" aria-label="Direction"><button type="button" aria-pressed=${way === "a" ? "true" : "false"} onClick=${() => change({ way: null }, { replace: true })}>more in A</button>
          <button type="button" aria-pressed=${way === "b" ? "true" : "false"} onClick=${() => change({ way: "b" }, { replace: true })}>more in B</button></span>` : null}
        <label>In at least <input type="number" min="1" max="10000" size="4" value=${least} onChange=${(/** @type {any} */ event) => change({ least: event.target.value }, { replace: true })} /> of ${names[0]}</label>
        ${found ? html`<span class="quiet small">${names[0]}: ${counted(found.considered.nUnits, "prompt")}, ${counted(found.considered.nCircuits, "circuit")}. ${names[1]}: ${counted(found.outside.nUnits, "prompt")}. ${counted(found.totalCount, "feature")} of ${found.nTested} tested.</span>` : null}
      </div>
      ${found?.mixedSettings ? html`<p class="warning">The circuits have different settings: ${found.mixed.map((/** @type {any} */ each) => each.setting).join(", ")}. A feature may be missing only because it was pruned.</p>` : null}
      ${found?.nOnBothSides ? html`<p class="warning">${counted(found.nOnBothSides, "prompt")} on both sides: their observations are not independent.</p>` : null}
      ${found ? html`<${Table} caption="Features by contrast" columns=${columns} rows=${found.nodes} rowKey=${(/** @type {any} */ row) => row.feature.id} empty="No feature is in so many circuits of this set." />` : null}
    <//>
    ${features.length && setB ? html`<${Heatmap} features=${features} setA=${setA} setB=${setB} names=${[nameOf(a), nameOf(b)]} />` : null}`;
}

/** Features by circuits; a cell leads to the circuit with the feature pinned. */
function Heatmap(/** @type {any} */ { features, setA, setB, names }) {
  const ids = features.map((/** @type {any} */ each) => each.id);
  const answer = useAnswer(HEAT, { features: ids, a: setA, b: setB }), { data } = answer;
  const sides = data ? ["a", "b"].map((side) => data[side].nodes.map((/** @type {any} */ each) => ({
    side, circuit: each.circuit, uses: new Map(each.uses.map((/** @type {any} */ use) => [use.feature.id, use])),
  }))) : [[], []];
  const columns = sides.flat(), short = distinct(columns.map((each) => each.circuit.prompt.text));
  const most = Math.max(1e-12, ...columns.flatMap((each) => [...each.uses.values()].map((/** @type {any} */ use) => use.influence ?? 0)));
  const strength = (/** @type {any} */ use) => (use ? (use.influence === null ? 60 : 22 + 78 * Math.sqrt(use.influence / most)) : 0);
  const rows = columns.flatMap((each) => features.flatMap((/** @type {any} */ feature) => (each.uses.has(feature.id) ? [{ ...each, feature, use: each.uses.get(feature.id) }] : [])));
  const picture = () => {
    const pen = svgPen(), theme = pageTheme(), left = 230, topEdge = 60;
    columns.forEach((each, c) => features.forEach((/** @type {any} */ feature, /** @type {number} */ f) => {
      const use = each.uses.get(feature.id);
      pen.box(left + c * 16, topEdge + f * 20, 15, 19, { fill: theme.band });
      if (use) pen.box(left + c * 16, topEdge + f * 20, 15, 19, { fill: each.side === "a" ? theme.feature : theme.negative, alpha: strength(use) / 100 });
    }));
    features.forEach((/** @type {any} */ feature, /** @type {number} */ f) => pen.text(cut(`${labelOf(feature)} ${shortId(feature.id)}`, left - 20), left - 8, topEdge + f * 20 + 10, { colour: theme.ink, align: "right" }));
    pen.text(names[0], left, topEdge - 14, { colour: theme.ink, bold: true });
    pen.text(names[1], left + sides[0].length * 16, topEdge - 34, { colour: theme.ink, bold: true });
    return svgFile(pen.markup, left + Math.max(columns.length * 16, 200) + 20, topEdge + features.length * 20 + 20, "Heatmap", theme);
  };
  return html`<${Panel} title="Heatmap" file="heatmap" answer=${answer} picture=${picture} table=${data ? { columns: CELLS, rows } : null}
    note="Features by circuits. Darker: more influence. A cell opens the circuit with the feature pinned. Circuits with none of these features are left out.">
    ${data ? html`<div class="scroll" role="region" aria-label="Heatmap" tabindex="0"><table class="heat"><caption class="unseen">Influence of features in circuits</caption>
      <thead><tr><td></td>${["a", "b"].map((side, s) => (sides[s].length ? html`<th key=${side} scope="colgroup" colspan=${sides[s].length} class="small">${"AB"[s]} ${names[s]} <span class="quiet">${sides[s].length} of ${data[side].totalCount}</span></th>` : null))}</tr>
      <tr><th scope="col">feature</th>${columns.map((each, c) => html`<th key=${each.side + each.circuit.id} scope="col" class="up"><a href=${address("circuit", each.circuit.id)} title=${each.circuit.prompt.text.slice(0, 300)}><bdi>${short[c]}</bdi></a></th>`)}</tr></thead>
      <tbody>${features.map((/** @type {any} */ feature) => html`<tr key=${feature.id}><th scope="row"><${FeatureLink} feature=${feature} /></th>${columns.map((each) => {
        const use = each.uses.get(feature.id), text = `${each.circuit.prompt.text.slice(0, 200)}: ${labelOf(feature)}, ${use ? `influence ${shown(use.influence)}` : "absent"}`;
        return html`<td key=${each.side + each.circuit.id} class=${`set-${each.side}`}>${use ? html`<a href=${address("circuit", each.circuit.id, { feature: feature.id })} title=${text} aria-label=${text} style=${{ "--strength": `${Math.round(strength(use))}%` }}></a>` : html`<span title=${text}></span>`}</td>`;
      })}</tr>`)}</tbody></table></div>` : null}
  <//>`;
}

/** Texts without the words that all of them begin and end with. @param {string[]} texts */
function distinct(texts) {
  if (texts.length < 2) return texts.map((text) => text.slice(0, 40));
  const words = texts.map((text) => text.split(" ")), least = Math.min(...words.map((each) => each.length));
  let head = 0, tail = 0;
  while (head < least - 1 && words.every((each) => each[head] === words[0][head])) head++;
  while (tail < least - head - 1 && words.every((each) => each[each.length - 1 - tail] === words[0][words[0].length - 1 - tail])) tail++;
  return words.map((each) => each.slice(head, each.length - tail).join(" ").slice(0, 40));
}

/** @type {import("../parts.js").Column[]} */
const CELLS = [
  { name: "set", value: (row) => row.side.toUpperCase() }, { name: "circuit", value: (row) => row.circuit.id }, { name: "prompt", value: (row) => row.circuit.prompt.text },
  { name: "feature", value: (row) => row.feature.id }, { name: "label", value: (row) => labelOf(row.feature) }, { name: "influence", value: (row) => row.use.influence },
];
