// Zooming and panning by mouse, touch and wheel.
export { select } from "d3-selection";
export { zoom, zoomIdentity, zoomTransform } from "d3-zoom";
