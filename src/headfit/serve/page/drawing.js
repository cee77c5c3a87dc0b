"use strict";
// what an answer looks like: bars, measures and heat maps, made of text and numbers only
const Drawing = (() => {
  const make = (name, attributes = {}, ...inside) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inside);
    return element;
  };
  const percent = (share) => {
    const value = 100 * share;
    if (value > 99.9 && value < 100) return ">\u00a099.9\u00a0%";
    return value < 0.1 && value > 0 ? "<\u00a00.1\u00a0%" : `${value.toFixed(1)}\u00a0%`;
  };
  const signed = (value) => `${value < 0 ? "\u2212" : "+"}${Math.abs(value).toFixed(2)}`;
  const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  const bars = (top, classes) => {
    const rows = top.map((each) => [each.class, each.probability]);
    const others = classes - top.length;
    const rest = 1 - top.reduce((sum, each) => sum + each.probability, 0);
    if (others > 0) rows.push([`${others} other${others > 1 ? "s" : ""}`, Math.max(0, rest)]);
    const body = make("tbody");
    for (const [name, share] of rows) {
      const length = make("span");
      length.style.width = `${100 * share}%`;
      body.append(
        make(
          "tr",
          {},
          make("th", { scope: "row" }, name),
          make("td", { "aria-hidden": "true" }, make("span", { class: "bar" }, length)),
          make("td", {}, percent(share)),
        ),
      );
    }
    const caption = make("caption", { class: "hidden" }, "Probability of each class");
    return make("table", { class: "bars" }, caption, body);
  };

  const measures = ({ calibrated, set }) => {
    const list = make("dl", { class: "measures" });
    const add = (name, text) => list.append(make("dt", {}, name), make("dd", {}, text));
    if (calibrated !== null) add("Calibrated", percent(calibrated));
    if (set !== null) add("Prediction set", set.length ? set.join(", ") : "none of the classes");
    return list.children.length ? [list] : [];
  };

  const ROWS = ["upper", "middle", "lower"];
  const COLUMNS = ["left", "centre", "right"];
  const strongest = (map) => {
    const all = map.flat();
    const most = all.reduce((best, value, place) => (value > all[best] ? place : best), 0);
    if (!(all[most] > 0)) return "nowhere";
    const width = map[0].length;
    const third = (place, length) => Math.floor((3 * (place + 0.5)) / length);
    const row = third(Math.floor(most / width), map.length);
    return `${ROWS[row]} ${COLUMNS[third(most % width, width)]}`;
  };
  // the image in grey, or nothing where the browser cannot show it
  const backdrop = (address) => {
    if (!address) return make("div", { class: "blank" });
    return make("img", { class: "grey", src: address, alt: "" });
  };
  const heat = (address, one) => {
    const where = strongest(one.map);
    const alt = `${one.head}: most support for ${one.class} ${where}`;
    const terms = { map: one.logit - one.bias, bias: one.bias, logit: one.logit };
    const numbers = Object.entries(terms)
      .map(([name, value]) => `${name}\u00a0${signed(value)}`)
      .join(", ");
    const caption = make("figcaption", {}, `${one.head}: `, make("b", {}, one.class));
    caption.append(` ${percent(one.probability)}`, make("small", {}, numbers));
    const map = make("img", { class: "map", src: one.image, alt });
    return make("figure", {}, make("div", { class: "heat" }, backdrop(address), map), caption);
  };
  const heatMaps = (address, explanations) => {
    const [{ scale, class: name }] = explanations;
    const most = scale.toPrecision(2);
    const scaleText = `Colours from blue, ${most} logits against, to orange, ${most} logits for`;
    return [
      make("h4", {}, `Evidence for and against ${name}`),
      make("div", { class: "pictures" }, ...explanations.map((one) => heat(address, one))),
      make(
        "p",
        { class: "scale", role: "img", "aria-label": scaleText },
        make("span", {}, `\u2212${most}`),
        make("span"),
        make("span", {}, `+${most} logits`),
      ),
    ];
  };

  return { make, percent, counted, bars, measures, backdrop, heatMaps };
})();
