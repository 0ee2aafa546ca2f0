// The part of d3-zoom and d3-selection that the explorer uses.
export interface ZoomTransform {
  readonly k: number;
  readonly x: number;
  readonly y: number;
  apply(point: number[]): [number, number];
  applyX(x: number): number;
  applyY(y: number): number;
  invert(point: [number, number]): [number, number];
  scale(k: number): ZoomTransform;
  translate(x: number, y: number): ZoomTransform;
}
export const zoomIdentity: ZoomTransform;
export function select(element: Element): any;
export function zoom(): any;
export function zoomTransform(element: Element): ZoomTransform;
