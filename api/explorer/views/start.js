// What the atlas holds, and where to go from here.

import { address } from "../addresses.js";
import { useAnswer } from "../graphql.js";
import { AnswerOf, CircuitLink, counted, Heading, Panel, percent, Table, useTitle } from "../parts.js";
import { html } from "../vendor/preact.js";

const HOLDS = `query holds {
  circuits(first: 8, orderBy: REPLACEMENT_SCORE) {
    totalCount
    nodes { id displayAnswer correct replacementScore errorShare prompt { text family } transcoders { id name model { id name } } }
  }
  families { name nPrompts nCircuits nJudged accuracy replacementScore errorShare mixedSettings }
}`;
const WORK = `query work {
  runs(first: 5) { totalCount nodes { id nCircuits settings } }
  jobs(first: 5) { totalCount nodes { id state nDone nPrompts askedBy askedAt } }
}`;

/** @type {import("../parts.js").Column[]} */
const FAMILIES = [
  { name: "family", value: (row) => row.name, cell: (row) => html`<a href=${address("circuits", [], { family: row.name })}>${row.name}</a>` },
  { name: "prompts", value: (row) => row.nPrompts, number: true },
  { name: "circuits", value: (row) => row.nCircuits, number: true },
  { name: "right", value: (row) => row.accuracy, number: true, cell: (row) => (row.nJudged ? percent(row.accuracy) : "not judged"), help: "share of the circuits with a known answer that are right" },
  { name: "replacement", value: (row) => row.replacementScore, number: true, help: "mean replacement score" },
  { name: "error share", value: (row) => row.errorShare, number: true, cell: (row) => percent(row.errorShare), help: "influence of error nodes: how much of the answer the features do not explain" },
  { name: "", value: () => "", cell: (row) => (row.mixedSettings ? html`<span title="circuits of different settings">mixed</span>` : "") },
];
/** @type {import("../parts.js").Column[]} */
const RUNS = [
  { name: "run", value: (row) => row.id, cell: (row) => html`<code>${row.id.slice(0, 10)}</code>` },
  { name: "circuits", value: (row) => row.nCircuits, number: true },
  { name: "of", value: (row) => settingsOf(row) },
];
/** @type {import("../parts.js").Column[]} */
const JOBS = [
  { name: "job", value: (row) => row.id, cell: (row) => html`<a href=${address("job", row.id)}>${row.askedAt.slice(0, 16).replace("T", " ")}</a>` },
  { name: "state", value: (row) => row.state, cell: (row) => row.state.toLowerCase() },
  { name: "done", value: (row) => row.nDone, number: true, cell: (row) => `${row.nDone} of ${row.nPrompts}` },
  { name: "asked by", value: (row) => row.askedBy },
];

function settingsOf(/** @type {any} */ run) {
  try {
    const { prompts, files, model, transcoders } = JSON.parse(run.settings);
    return [prompts ?? files, model, transcoders].filter((each) => typeof each === "string").join(" · ") || "—";
  } catch {
    return "—";
  }
}

export function Start() {
  useTitle("");
  const holds = useAnswer(HOLDS), work = useAnswer(WORK), { data } = holds;
  if (data && data.circuits.totalCount === 0) return html`<${Empty} />`;
  const sets = data ? [...new Map(data.circuits.nodes.map((/** @type {any} */ each) => [each.transcoders.id, each.transcoders])).values()] : [];
  return html`<${Heading}>${data ? `${counted(data.circuits.totalCount, "circuit")} of ${counted(data.families.length, "family", "families")}` : "Circuit atlas"}<//>
    <p class="quiet">Each circuit shows how the features of a language model lead from one prompt to its answer.
      ${sets.map((/** @type {any} */ each) => html` <span key=${each.id}>Model <strong>${each.model.name}</strong> with transcoders <strong>${each.name}</strong>.</span>`)}
      ${" "}Open a circuit, click a feature in it, and see the other circuits that share the feature.</p>
    <div class="grid">
      <div>
        <${Panel} title="Families of prompts" answer=${holds} table=${data ? { columns: FAMILIES, rows: data.families } : null}>
          ${data ? html`<${Table} caption="Families of prompts" columns=${FAMILIES} rows=${data.families} rowKey=${(/** @type {any} */ row) => row.name}
            empty=${html`No prompt has a family. <a href="/circuits">All circuits</a>`} />` : null}
          <p><a href="/circuits">All circuits</a></p>
        <//>
        <section class="panel" aria-label="Elsewhere"><header><h2>Elsewhere</h2></header>
          <ul class="plain">
            <li><a href="/graphql" target="_blank" rel="noopener">GraphiQL</a>: write queries. Every panel's <em>Query</em> opens its own query there.</li>
            <li>Neo4j console: <code>atlas db status</code> prints its address. Type <code>:guide ${location.origin.replace("127.0.0.1", "localhost")}/guide.html</code> in it.</li>
            <li>Documentation: <code>docs/README.md</code> of the checkout, or <code>make docs-site</code>.</li>
            <li>Scripts: <code>atlas.client</code>, and whole lists as files at <a href="/export" target="_blank" rel="noopener">/export</a>.</li>
          </ul>
        </section>
      </div>
      <div>
        <${Panel} title="Circuits that features explain best" answer=${holds} table=${data ? { columns: BEST, rows: data.circuits.nodes } : null}>
          ${data ? html`<${Table} caption="Circuits with the highest replacement scores" columns=${BEST} rows=${data.circuits.nodes} rowKey=${(/** @type {any} */ row) => row.id} />` : null}
        <//>
        <${Panel} title="Runs and jobs" answer=${work} table=${work.data ? { columns: RUNS, rows: work.data.runs.nodes } : null}>
          ${work.data ? html`<${Table} caption="Runs" columns=${RUNS} rows=${work.data.runs.nodes} empty="No run." />
            <h3>Jobs</h3><${Table} caption="Jobs" columns=${JOBS} rows=${work.data.jobs.nodes} empty=${html`Nobody has asked for circuits. <a href="/request">Ask for one</a>`} />` : null}
        <//>
      </div>
    </div>`;
}

/** @type {import("../parts.js").Column[]} */
const BEST = [
  { name: "prompt", value: (row) => row.prompt.text, cell: (row) => html`<${CircuitLink} circuit=${row} />` },
  { name: "answer", value: (row) => row.displayAnswer, cell: (row) => html`<${AnswerOf} circuit=${row} />` },
  { name: "replacement", value: (row) => row.replacementScore, number: true },
];

function Empty() {
  return html`<${Heading}>This atlas is empty<//>
    <section class="panel" aria-label="How to fill it"><header><h2>How to fill it</h2></header>
      <p>With circuits of your own prompts:</p><p><code>atlas ingest prompts.jsonl --model MODEL_DIR --transcoders TRANSCODERS_DIR</code></p>
      <p>With graphs that other tools made (circuit-tracer, Neuronpedia and others):</p><p><code>atlas import FOLDER</code></p>
      <p>With the bundled model and prompts:</p><p><code>atlas demo</code></p>
      <p class="quiet">Then load this page again. Circuits appear while they are loaded.</p>
    </section>`;
}
