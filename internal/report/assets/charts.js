export { hierarchy, treemap, treemapSquarify } from "d3-hierarchy";
export { sankey, sankeyLinkHorizontal } from "d3-sankey";
export { create, select } from "d3-selection";
export { scaleLinear } from "d3-scale";
