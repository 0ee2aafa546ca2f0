// Preact with hooks, and htm bound to it: `html` writes elements without a compiler.
import { h } from "preact";
import htm from "htm";

export { createContext, Fragment, h, render } from "preact";
export * from "preact/hooks";
export const html = htm.bind(h);
