// A circuit for a typed prompt: the request, its progress, and the circuit.

import { address, go } from "../addresses.js";
import { subscribe, useAnswer } from "../graphql.js";
import { AnswerOf, CircuitLink, Heading, Panel, Table, useTitle, useWriting } from "../parts.js";
import { html, useEffect, useState } from "../vendor/preact.js";
import { useSending } from "./writing.js";

const REQUEST = `mutation request($prompts: [PromptInput!]!, $author: String!) {
  requestCircuits(prompts: $prompts, author: $author) { id state nPrompts nDone }
}`;
const JOBS = `query jobs($after: String) {
  jobs(first: 20, after: $after) { totalCount pageInfo { hasNextPage endCursor } nodes { id state nPrompts nDone askedBy askedAt prompts } }
}`;
const JOB = `query job($id: ID!) {
  job(id: $id) {
    id state nPrompts nDone problems error askedBy askedAt attempts prompts
    circuits(first: 50) { totalCount nodes { id displayAnswer correct prompt { text family } } }
  }
}`;
const WATCH = `subscription watch($id: ID!) { job(id: $id) { id state nPrompts nDone problems error } }`;

/** @type {import("../parts.js").Column[]} */
const COLUMNS = [
  { name: "asked", value: (row) => row.askedAt, cell: (row) => html`<a href=${address("job", row.id)}>${row.askedAt.slice(0, 16).replace("T", " ")}</a>` },
  { name: "by", value: (row) => row.askedBy }, { name: "state", value: (row) => row.state.toLowerCase() },
  { name: "done", value: (row) => row.nDone, number: true, cell: (row) => `${row.nDone} of ${row.nPrompts}` },
  { name: "prompts", value: (row) => row.prompts, cell: (row) => html`<bdi>${row.prompts.slice(0, 2).join(" · ").slice(0, 160)}</bdi>` },
];

export function Request() {
  useTitle("New circuit");
  const reason = useWriting(), [said, send] = useSending(), jobs = useAnswer(JOBS, { after: null });
  const [form, setForm] = useState({ prompt: "", family: "", expected: "", author: "" });
  const field = (/** @type {keyof typeof form} */ name) => ({ value: form[name], onInput: (/** @type {any} */ event) => setForm({ ...form, [name]: event.target.value }) });
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const prompt = { prompt: form.prompt, family: form.family.trim() || null, expected: form.expected.trim() || null };
    const data = await send(REQUEST, { prompts: [prompt], author: form.author.trim() }, "");
    if (data) go(address("job", data.requestCircuits.id));
  };
  return html`<${Heading}>New circuit<//>
    <section class="panel" aria-label="Prompt"><header><h2>Prompt</h2></header>
      ${reason ? html`<p class="quiet">${reason}</p>` : null}
      <form onSubmit=${submit}><fieldset disabled=${Boolean(reason)}>
        <p><label>Prompt <textarea required rows="3" dir="auto" ...${field("prompt")}></textarea></label></p>
        <p class="row"><label>Family <input ...${field("family")} /></label><label>Expected answer <input ...${field("expected")} /></label>
          <label>Your name <input required maxlength="100" ...${field("author")} /></label><button type="submit" class="strong">Request</button></p>
      </fieldset></form>
      <p role="status">${said}</p>
      <p class="quiet small">A worker computes it: <code>atlas ingest --watch --model … --transcoders …</code> must run.</p>
    </section>
    <${Panel} title="Jobs" answer=${jobs} table=${jobs.data ? { columns: COLUMNS, rows: jobs.data.jobs.nodes } : null}>
      ${jobs.data ? html`<${Table} caption="Jobs" columns=${COLUMNS} rows=${jobs.data.jobs.nodes} empty="Nobody has asked for circuits." />` : null}<//>`;
}

export function JobPage(/** @type {{place: import("../addresses.js").Place}} */ { place }) {
  const [id] = place.ids, answer = useAnswer(JOB, { id }, { skip: !id });
  const [live, setLive] = useState(/** @type {any} */ (null)), [lost, setLost] = useState("");
  useTitle("Job");
  useEffect(() => subscribe(WATCH, { id }, {
    next: (data) => { setLive(data.job); setLost(""); },
    lost: () => setLost("The connection broke. The page connects again."),
    done: answer.again,
    failed: (error) => setLost(error.message),
  }), [id]);
  const job = answer.data?.job ? { ...answer.data.job, ...(live ?? {}) } : null, circuits = answer.data?.job?.circuits.nodes ?? [];
  return html`<${Heading}>Job of ${job?.askedBy ?? "…"}<//>
    <${Panel} title="Progress" file=${`job ${id}`} answer=${answer} table=${job ? { columns: DONE, rows: circuits } : null}>
      ${answer.data && !job ? html`<p>The atlas has no job with this id.</p>` : null}
      ${job ? html`<p role="status"><strong>${job.state.toLowerCase()}</strong>: ${job.nDone} of ${job.nPrompts} <progress max=${job.nPrompts} value=${job.nDone} aria-label="Prompts that are done"></progress></p>
        ${job.state === "QUEUED" ? html`<p class="quiet">It waits for a worker: <code>atlas ingest --watch</code>.</p>` : null}
        ${[job.error, ...job.problems].filter(Boolean).map((text) => html`<p key=${text} class="warning">${text}</p>`)}
        <h3>Circuits</h3><ul class="plain">${circuits.map((/** @type {any} */ each) => html`<li key=${each.id}><${CircuitLink} circuit=${each} /> <${AnswerOf} circuit=${each} /></li>`)}</ul>
        ${circuits.length ? null : html`<p class="quiet">None yet.</p>`}` : null}
      <p class="quiet small" role="status">${lost}</p>
    <//>`;
}

/** @type {import("../parts.js").Column[]} */
const DONE = [
  { name: "circuit", value: (row) => row.id }, { name: "prompt", value: (row) => row.prompt.text }, { name: "answer", value: (row) => row.displayAnswer },
];
