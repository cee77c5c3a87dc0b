"use strict";
// asks once a second how the run stands; whatever comes is shown as text only
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const PAUSE = 1000;
  const LOST = 3; // requests without an answer before the page says so
  const $ = (id) => document.getElementById(id);

  const make = (name, text, attributes = {}) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const draw = (name, attributes, ...inside) => {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inside);
    return element;
  };
  const write = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const isNumber = (value) => value !== null && value !== undefined;
  const whole = (value) => Math.round(value).toLocaleString("en");

  // a stage keeps its elements, so that a screen reader's place in the list stays
  const showStages = (stages) => {
    const list = $("stages");
    while (list.children.length > stages.length) list.lastElementChild.remove();
    stages.forEach((stage, number) => {
      if (!list.children[number]) {
        const item = make("li");
        item.append(
          make("span", "", { class: "stage", id: `stage-${number}` }),
          make("progress", undefined, { "aria-labelledby": `stage-${number}` }),
          make("span", "", { class: "amount" }),
        );
        list.append(item);
      }
      const [name, bar, text] = list.children[number].children;
      write(name, stage.name);
      bar.max = Math.max(stage.total, 1e-6);
      bar.value = stage.done;
      write(text, stage.amount);
    });
  };

  // all intervals on one axis, whose ends are multiples of a twentieth
  const axis = (scores) => {
    const values = scores.flatMap(({ score: s }) => [s.low, s.mean, s.high]);
    const numbers = values.filter(isNumber);
    if (!numbers.length) return [0, 1];
    const low = Math.floor(Math.min(...numbers) * 20 - 1e-9) / 20;
    const high = Math.ceil(Math.max(...numbers) * 20 + 1e-9) / 20;
    return [Math.min(...numbers) < 0 ? low : Math.max(0, low), Math.min(1, high)];
  };
  const interval = (score, [low, high]) => {
    const cell = make("td");
    if (!isNumber(score.mean)) return cell;
    const at = (value) => (4 + (92 * (value - low)) / (high - low)).toFixed(2);
    const parts = [];
    if (isNumber(score.low)) {
      parts.push(draw("line", { x1: `${at(score.low)}%`, x2: `${at(score.high)}%`, y1: 12, y2: 12 }));
    }
    parts.push(draw("circle", { cx: `${at(score.mean)}%`, cy: 12, r: 5 }));
    // the numbers stand beside it
    cell.append(draw("svg", { class: "interval", "aria-hidden": "true" }, ...parts));
    return cell;
  };
  const row = (head, ends) => {
    const { score, written } = head;
    const line = make("tr");
    line.append(
      make("th", head.name, { scope: "row" }),
      interval(score, ends),
      make("td", written.mean),
      make("td", written.ends),
      make("td", written.loss),
      make("td", whole(head.parameters)),
      make("td", head.seconds.toFixed(1)),
    );
    return line;
  };
  const mean = (head) => head.score.mean ?? -Infinity;
  const showScores = ({ scores, metric }) => {
    $("none").hidden = scores.length > 0;
    $("table").hidden = scores.length === 0;
    const ends = axis(scores);
    const labels = make("span", undefined, { class: "ends" });
    const end = (value) => `${Number((metric.scale * value).toFixed(2))}${metric.unit}`;
    labels.append(...ends.map((value) => make("span", end(value))));
    write($("metric"), metric.name);
    write($("heading"), metric.heading);
    write($("loss"), metric.loss);
    $("axis").replaceChildren("interval", labels);
    $("axis").hidden = false;
    const best = [...scores].sort((a, b) => mean(b) - mean(a));
    $("scores").replaceChildren(...best.map((head) => row(head, ends)));
  };

  // read aloud: each head and each stage once, and the end; never the progress
  const news = (now, before) => {
    if (before && now.state !== before.state) return `${now.title}. ${now.headline}`;
    const count = before ? before.scores.length : now.scores.length;
    const fresh = now.scores.slice(count);
    if (fresh.length) {
      const each = (s) => `${s.name}: ${s.written.value}`;
      return `Scored: ${fresh.map(each).join(", ")}.`;
    }
    return now.stages.length > (before ? before.stages.length : 0) ? `${now.headline}.` : null;
  };

  const show = (now, before) => {
    write($("state"), now.title);
    $("state").dataset.state = now.state;
    document.title = `headfit: ${now.title}`;
    write($("headline"), now.headline);
    showStages(now.stages);
    // rows are made again only when one has come
    if (!before || now.scores.length !== before.scores.length) showScores(now);
    $("messages-section").hidden = now.messages.length === 0;
    const lines = now.messages.join("\n");
    if (!before || lines !== before.messages.join("\n")) {
      $("messages").replaceChildren(...now.messages.map((message) => make("li", message)));
    }
    const text = news(now, before);
    if (text) write($("news"), text);
  };

  const lose = (reason) => {
    write($("state"), "No answer");
    $("state").dataset.state = "lost";
    document.title = "headfit: no answer";
    const ended = "headfit has ended and no longer serves this page. The terminal says why.";
    const text = reason || ended;
    write($("headline"), text);
    write($("news"), text);
  };

  let before = null;
  let misses = 0;
  const ask = async () => {
    let reason = "";
    try {
      const answer = await fetch("progress.json", { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) {
        reason = await answer.text();
        throw new Error(reason);
      }
      const now = await answer.json();
      if (before && now.started !== before.started) before = null; // another run, same folder
      if (now.state === "done" && now.report) {
        location.reload();
        return;
      }
      show(now, misses >= LOST ? null : before);
      before = now;
      misses = 0;
    } catch {
      misses += 1;
      if (misses === LOST) lose(reason);
    }
    setTimeout(ask, PAUSE);
  };
  ask();
})();
