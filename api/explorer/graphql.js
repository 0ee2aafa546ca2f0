// GraphQL over HTTP and WebSockets: one question, its answer, its errors, and another try when the server is busy.

import { useEffect, useRef, useState } from "./vendor/preact.js";

const PATH = "/graphql";
/** Codes after which the same question may be answered a little later. */
const PASSING = new Set(["BUSY", "UNREACHABLE", "DATABASE_UNREACHABLE", "QUERY_MEMORY"]);
const LONGEST_WAIT_S = 15;
const KEPT_ANSWERS = 40;

export class ApiError extends Error {
  /** @param {string} message @param {string} code @param {string|null} nextStep @param {number|null} waitS */
  constructor(message, code, nextStep = null, waitS = null) {
    super(message);
    this.code = code;
    this.nextStep = nextStep;
    this.waitS = waitS;
  }

  get passing() {
    return PASSING.has(this.code);
  }
}

/** The token of this tab. It is kept until the tab closes. */
export const token = {
  get value() {
    try {
      return sessionStorage.getItem("atlas.token") ?? "";
    } catch {
      return "";
    }
  },
  set value(text) {
    try {
      if (text) sessionStorage.setItem("atlas.token", text);
      else sessionStorage.removeItem("atlas.token");
    } catch {
      // The browser keeps nothing for this page.
    }
    answers.clear();
    dispatchEvent(new Event("atlas:token"));
  },
};

/** The token, whenever it changes. */
export function useToken() {
  const [value, set] = useState(token.value);
  useEffect(() => {
    const update = () => set(token.value);
    addEventListener("atlas:token", update);
    return () => removeEventListener("atlas:token", update);
  }, []);
  return value;
}

/**
 * The `data` of one query. Raises ApiError. @param {string} query @param {Record<string, any>} [variables]
 * @param {AbortSignal} [signal] @param {string|null} [from] an address that answers the query with more, and in the same form
 * @returns {Promise<any>}
 */
export async function ask(query, variables = {}, signal, from = null) {
  /** @type {Record<string, string>} */
  const headers = from ? {} : { "content-type": "application/json" };
  // A header holds Latin-1 only; a token with other letters cannot be right.
  if (token.value) headers.authorization = `Bearer ${token.value.replace(/[^\x20-\xff]/g, "?")}`;
  let answer, body;
  try {
    answer = await fetch(from ?? PATH, from ? { headers, signal } : { method: "POST", headers, body: JSON.stringify({ query, variables }), signal });
    body = await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (answer?.status && answer.status < 500) throw new ApiError(`The server answered with status ${answer.status}, but not as a GraphQL API`, "NO_GRAPHQL");
    throw new ApiError("The server does not answer", "UNREACHABLE", "see whether `atlas serve` still runs");
  }
  const error = body?.errors?.[0];
  if (error || !body?.data) {
    const code = error?.extensions?.code ?? (answer.status === 429 ? "BUSY" : answer.status >= 500 ? "UNREACHABLE" : "GRAPHQL");
    const wait = Number(answer.headers.get("retry-after"));
    throw new ApiError(error?.message ?? `The server answered with status ${answer.status}`, code, error?.extensions?.nextStep ?? null, wait > 0 ? wait : null);
  }
  return body.data;
}

/** @type {Map<string, any>} the last answers, so that Back shows a view at once */
const answers = new Map();

/** @param {string} key @param {any} data */
function remember(key, data) {
  answers.delete(key);
  answers.set(key, data);
  if (answers.size > KEPT_ANSWERS) answers.delete(/** @type {string} */ (answers.keys().next().value));
}

/**
 * @typedef {{query: string, variables: Record<string, any>, data: any, error: ApiError|null, waiting: boolean,
 *   asked: boolean, stale: boolean, again: () => void, retryAt: number|null}} Answer
 * `asked`: false while there is nothing to ask yet.
 * `data`: the newest answer, also of the question before while the new one is asked (`stale`).
 * `retryAt`: time in ms at which the question is asked again. `again`: ask at once.
 */

/**
 * The answer to a question, asked again when the server was busy or away. @param {string} query
 * @param {Record<string, any>} [variables] @param {{skip?: boolean, from?: string|null}} [options] skip: ask nothing yet;
 * from: as for `ask`
 * @returns {Answer}
 */
export function useAnswer(query, variables = {}, { skip = false, from = null } = {}) {
  const key = JSON.stringify([query, variables, from]), held = answers.get(key);
  const [state, setState] = useState({ key, data: held ?? null, error: /** @type {ApiError|null} */ (null), retryAt: /** @type {number|null} */ (null), done: false });
  const [turn, setTurn] = useState(0);
  const secret = useToken(), last = useRef(key);
  useEffect(() => {
    if (skip) return undefined;
    const control = new AbortController();
    let timer = 0, tries = 0;
    const changed = last.current !== key;
    last.current = key;
    setState((before) => ({ key, data: answers.get(key) ?? before.data, error: changed ? null : before.error, retryAt: null, done: false }));
    const attempt = async () => {
      try {
        const data = await ask(query, variables, control.signal, from);
        remember(key, data);
        setState({ key, data, error: null, retryAt: null, done: true });
      } catch (error) {
        if (control.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        let retryAt = null;
        if (error.passing) {
          const wait = Math.min(LONGEST_WAIT_S, Math.max(error.waitS ?? 0, 2 ** tries++));
          retryAt = Date.now() + wait * 1000;
          timer = window.setTimeout(attempt, wait * 1000);
        }
        setState((before) => ({ ...before, error, retryAt, done: true }));
      }
    };
    attempt();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [key, turn, skip, secret]);
  const data = state.key === key ? state.data : held ?? state.data, waiting = !skip && (state.key !== key || !state.done);
  return {
    query, variables, data, error: state.key === key ? state.error : null, waiting, asked: !skip, stale: waiting && data !== null && !held,
    again: () => setTurn((n) => n + 1), retryAt: state.retryAt,
  };
}

/** The address of GraphiQL with a query and its variables. @param {string} query @param {Record<string, any>} variables */
export function graphiql(query, variables) {
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== undefined));
  const rest = Object.keys(given).length ? `&variables=${encodeURIComponent(JSON.stringify(given, null, 2))}` : "";
  return `/graphql#${encodeURIComponent(dedented(query))}${rest}`;
}

/** A query without the indentation that it has in a source file. @param {string} query */
export function dedented(query) {
  const lines = query.replace(/^\s*\n|\s+$/g, "").split("\n");
  const indents = lines.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length);
  const least = Math.min(...indents.slice(indents[0] === 0 && indents.length > 1 ? 1 : 0));
  return lines.map((line) => (line.startsWith(" ".repeat(least)) ? line.slice(least) : line.trimStart())).join("\n");
}

/**
 * Events of a subscription, until it ends or `stop` is called. @param {string} query @param {Record<string, any>} variables
 * @param {{next: (data: any) => void, lost: () => void, done: () => void, failed: (error: ApiError) => void}} on
 * lost: the connection broke; it is opened again. @returns {() => void} stop
 */
export function subscribe(query, variables, on) {
  let socket = /** @type {WebSocket|null} */ (null), timer = 0, stopped = false, tries = 0;
  const open = () => {
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${PATH}`, "graphql-transport-ws");
    // The server sends its JSON as bytes.
    socket.binaryType = "arraybuffer";
    const send = (/** @type {object} */ message) => socket?.send(JSON.stringify(message));
    socket.onopen = () => send({ type: "connection_init", payload: token.value ? { authorization: `Bearer ${token.value}` } : {} });
    socket.onmessage = (event) => {
      const message = JSON.parse(typeof event.data === "string" ? event.data : new TextDecoder().decode(event.data));
      if (message.type === "connection_ack") send({ id: "1", type: "subscribe", payload: { query, variables } });
      else if (message.type === "ping") send({ type: "pong" });
      else if (message.type === "next" && message.payload.data) {
        tries = 0;
        on.next(message.payload.data);
      } else if (message.type === "next" || message.type === "error") {
        const error = (message.payload.errors ?? message.payload)[0];
        stop();
        on.failed(new ApiError(error.message, error.extensions?.code ?? "GRAPHQL", error.extensions?.nextStep ?? null));
      } else if (message.type === "complete") {
        stop();
        on.done();
      }
    };
    socket.onclose = () => {
      if (stopped) return;
      on.lost();
      timer = window.setTimeout(open, Math.min(LONGEST_WAIT_S, 2 ** tries++) * 1000);
    };
  };
  const stop = () => {
    stopped = true;
    clearTimeout(timer);
    socket?.close();
  };
  open();
  return stop;
}
