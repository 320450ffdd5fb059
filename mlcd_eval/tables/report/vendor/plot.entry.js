export {plot, axisX, axisY, gridX, gridY, ruleX, ruleY, areaY, line, dot, tip, pointer, text} from "@observablehq/plot";
