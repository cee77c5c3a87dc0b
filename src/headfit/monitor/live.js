"use strict";
// asks once a second how the run stands; what comes from it is only ever text
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const PAUSE = 1000;
  const LOST = 3; // questions without an answer, until the page says so
  const WORDS = { running: "Comparing heads", done: "Done", stopped: "Stopped", failed: "Failed" };
  const AGAIN = "What was computed is kept: the same command goes on from there.";
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
  const known = (value) => value !== null && value !== undefined;
  const percent = (value) => (known(value) ? (100 * value).toFixed(1) : "?");
  const whole = (value) => Math.round(value).toLocaleString("en");
  const tenth = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  const duration = (seconds) => {
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    const all = Math.round(seconds);
    if (all < 60) return `${all} s`;
    if (all < 3600) return `${Math.floor(all / 60)} min ${all % 60} s`;
    return `${Math.floor(all / 3600)} h ${Math.floor((all % 3600) / 60)} min`;
  };

  const headline = (now) => {
    if (now.state === "failed") return now.error || "The run failed.";
    if (now.state === "stopped") {
      const gone = `The process is gone without a word, ${duration(now.silent)} ago.`;
      return `${now.silent ? gone : "The run was interrupted."} ${AGAIN}`;
    }
    if (now.state === "done") return "The run is done; it has no page of its own.";
    if (now.silent) {
      const time = duration(now.silent);
      return `No sign of life for ${time}: the run is suspended, or cannot write.`;
    }
    const last = now.stages.at(-1);
    return last ? last.name : "The run is about to begin.";
  };

  const amount = (stage) => {
    const parts = [];
    if (stage.unit) {
      parts.push(`${whole(stage.done)} of ${whole(stage.total)} ${stage.unit}`);
      if (known(stage.rate)) parts.push(`${stage.rate.toLocaleString("en", tenth)} ${stage.unit}/s`);
    } else if (stage.total > 1) {
      parts.push(`${Math.floor(stage.done)} of ${stage.total}`);
    }
    if (stage.skipped) parts.push(`${stage.skipped} skipped`);
    if (stage.detail && !stage.over) parts.push(stage.detail);
    parts.push(duration(stage.seconds));
    return parts.join(", ");
  };

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
      write(text, amount(stage));
    });
  };

  // all intervals on one axis, whose ends are multiples of 5 %
  const axis = (scores) => {
    const values = scores.flatMap(({ balanced_accuracy: s }) => [s.low, s.mean, s.high]);
    const numbers = values.filter(known);
    if (!numbers.length) return [0, 1];
    const low = Math.floor(Math.min(...numbers) * 20 - 1e-9) / 20;
    const high = Math.ceil(Math.max(...numbers) * 20 + 1e-9) / 20;
    return [Math.max(0, low), Math.min(1, high)];
  };
  const interval = (score, [low, high]) => {
    const cell = make("td");
    if (!known(score.mean)) return cell;
    const at = (value) => (4 + (92 * (value - low)) / (high - low)).toFixed(2);
    const parts = [];
    if (known(score.low)) {
      parts.push(draw("line", { x1: `${at(score.low)}%`, x2: `${at(score.high)}%`, y1: 12, y2: 12 }));
    }
    parts.push(draw("circle", { cx: `${at(score.mean)}%`, cy: 12, r: 5 }));
    // the numbers stand beside it
    cell.append(draw("svg", { class: "interval", "aria-hidden": "true" }, ...parts));
    return cell;
  };
  const row = (found, ends) => {
    const { balanced_accuracy: score, log_loss: loss } = found;
    const line = make("tr");
    line.append(
      make("th", found.name, { scope: "row" }),
      interval(score, ends),
      make("td", percent(score.mean)),
      make("td", known(score.low) ? `${percent(score.low)} to ${percent(score.high)}` : "?"),
      make("td", known(loss.mean) ? loss.mean.toFixed(3) : "?"),
      make("td", whole(found.parameters)),
      make("td", found.seconds.toFixed(1)),
    );
    return line;
  };
  const mean = (found) => found.balanced_accuracy.mean ?? -1;
  const showScores = (scores) => {
    $("none").hidden = scores.length > 0;
    $("table").hidden = scores.length === 0;
    const ends = axis(scores);
    const labels = make("span", undefined, { class: "ends" });
    labels.append(...ends.map((end) => make("span", `${Math.round(100 * end)} %`)));
    $("axis").replaceChildren("interval", labels);
    $("axis").hidden = false;
    const best = [...scores].sort((a, b) => mean(b) - mean(a));
    $("scores").replaceChildren(...best.map((found) => row(found, ends)));
  };

  // said aloud: each head and each stage once, and how it ends; never the progress
  const news = (now, before) => {
    if (before && now.state !== before.state) return `${WORDS[now.state]}. ${headline(now)}`;
    const count = before ? before.scores.length : now.scores.length;
    const fresh = now.scores.slice(count);
    if (fresh.length) {
      const each = (s) => `${s.name}: ${percent(s.balanced_accuracy.mean)} %`;
      return `Scored: ${fresh.map(each).join(", ")}.`;
    }
    return now.stages.length > (before ? before.stages.length : 0) ? `${headline(now)}.` : null;
  };

  const show = (now, before) => {
    write($("state"), WORDS[now.state]);
    $("state").dataset.state = now.state;
    document.title = `headfit: ${WORDS[now.state]}`;
    write($("headline"), headline(now));
    showStages(now.stages);
    // its rows are made anew only when one has come
    if (!before || now.scores.length !== before.scores.length) showScores(now.scores);
    $("messages-section").hidden = now.messages.length === 0;
    const said = now.messages.join("\n");
    if (!before || said !== before.messages.join("\n")) {
      $("messages").replaceChildren(...now.messages.map((message) => make("li", message)));
    }
    const text = news(now, before);
    if (text) write($("news"), text);
  };

  const lose = (said) => {
    write($("state"), "No answer");
    $("state").dataset.state = "lost";
    document.title = "headfit: no answer";
    const ended = "headfit has ended, and nobody serves this page; the terminal says why.";
    const text = said || ended;
    write($("headline"), text);
    write($("news"), text);
  };

  let before = null;
  let misses = 0;
  const ask = async () => {
    let said = "";
    try {
      const answer = await fetch("/progress.json", { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) {
        said = await answer.text();
        throw new Error(said);
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
      if (misses === LOST) lose(said);
    }
    setTimeout(ask, PAUSE);
  };
  ask();
})();
