export { hierarchy, tree, treemap } from "d3-hierarchy";
export { sankey, sankeyLeft, sankeyLinkHorizontal } from "d3-sankey";
export { create, select } from "d3-selection";
