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

  const bars = (rows, noun) => {
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
    const caption = make("caption", { class: "hidden" }, `Probability of each ${noun}`);
    return make("table", { class: "bars" }, caption, body);
  };

  const KINDS = {
    class: { task: "Classify images", done: "classified", noun: "class", nouns: "classes" },
    labels: { task: "Label images", done: "labelled", noun: "label", nouns: "labels" },
    number: { task: "Predict numbers", done: "predicted", noun: "number", nouns: "numbers" },
  };
  const MOST_NAMES = 8; // in the line at the top
  const namesOf = (model) => model[KINDS[model.kind].nouns];
  const about = (model) => {
    const names = namesOf(model);
    const few = names.slice(0, MOST_NAMES).join(", ") + (names.length > MOST_NAMES ? ", …" : "");
    const noun = KINDS[model.kind][names.length === 1 ? "noun" : "nouns"];
    return `${model.backbone} with ${model.head}, ${names.length} ${noun}: ${few}`;
  };

  const withRest = (top, classes) => {
    const rows = top.map((each) => [each.class, each.probability]);
    const others = classes - top.length;
    const rest = 1 - top.reduce((sum, each) => sum + each.probability, 0);
    if (others > 0) rows.push([`${others} other${others > 1 ? "s" : ""}`, Math.max(0, rest)]);
    return rows;
  };
  const short = (value) => String(Number(value.toPrecision(4)));

  const measures = ({ calibrated, set }) => {
    const list = make("dl", { class: "measures" });
    const add = (name, text) => list.append(make("dt", {}, name), make("dd", {}, text));
    if (calibrated !== null) add("Calibrated", percent(calibrated));
    if (set !== null) add("Prediction set", set.length ? set.join(", ") : "none of the classes");
    return list.children.length ? [list] : [];
  };

  // what is said of an image: the bold answer, what stands behind it, and what follows below
  const answers = {
    class: (prediction, classes) => ({
      name: prediction.class,
      behind: percent(prediction.probability),
      parts: [bars(withRest(prediction.top, classes), "class"), ...measures(prediction)],
    }),
    labels: ({ present, labels }) => ({
      name: present.length ? present.join(", ") : "none of the labels",
      behind: "",
      parts: [bars(labels.map((each) => [each.label, each.probability]), "label")],
    }),
    number: ({ numbers }) => {
      const list = make("dl", { class: "measures" });
      for (const [name, { value, low, high }] of Object.entries(numbers)) {
        const ends = low === null ? "" : ` (${short(low)} to ${short(high)})`;
        list.append(make("dt", {}, name), make("dd", {}, `${short(value)}${ends}`));
      }
      const said = Object.entries(numbers).map(([name, { value }]) => `${name} ${short(value)}`);
      return { name: said.join(", "), behind: "", parts: [list] };
    },
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
  const nameOf = (one) => one.class ?? one.label ?? one.number;
  const heat = (address, one) => {
    const where = strongest(one.map);
    const name = nameOf(one);
    const alt = `${one.head}: most support for ${name} ${where}`;
    const sum = one.logit ?? one.value;
    const terms = { map: sum - one.bias, bias: one.bias, [one.number ? "number" : "logit"]: sum };
    const numbers = Object.entries(terms)
      .map(([name, value]) => `${name}\u00a0${signed(value)}`)
      .join(", ");
    const caption = make("figcaption", {}, `${one.head}: `, make("b", {}, name));
    const value = one.number ? short(one.value) : percent(one.probability);
    caption.append(` ${value}`, make("small", {}, numbers));
    const map = make("img", { class: "map", src: one.image, alt });
    return make("figure", {}, make("div", { class: "heat" }, backdrop(address), map), caption);
  };
  const heatMaps = (address, explanations) => {
    const [first] = explanations;
    const name = nameOf(first);
    const most = first.scale.toPrecision(2);
    const scaleText = first.number
      ? `Colours from blue, ${name} down by ${most}, to orange, up by ${most}`
      : `Colours from blue, ${most} logits against, to orange, ${most} logits for`;
    const title = first.number ? `What pushes ${name} up and down` : `Evidence for and against ${name}`;
    return [
      make("h4", {}, title),
      make("div", { class: "pictures" }, ...explanations.map((one) => heat(address, one))),
      make(
        "p",
        { class: "scale", role: "img", "aria-label": scaleText },
        make("span", {}, `\u2212${most}`),
        make("span"),
        make("span", {}, `+${most}${first.number ? "" : " logits"}`),
      ),
    ];
  };

  return { make, counted, KINDS, about, answers, namesOf, backdrop, heatMaps };
})();
