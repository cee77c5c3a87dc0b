"use strict";
// sends each image by itself, a few at a time; whatever comes back is shown as text only
(() => {
  const AT_ONCE = 4; // requests under way
  const TRIES = { 429: 8, 503: 8, 504: 3 }; // of a request that a busy server puts off
  const LONGEST_WAIT = 10; // seconds between two of them
  const FIRST = ["gap", "flatten"]; // the heat maps to compare, where both are there
  const $ = (id) => document.getElementById(id);
  const { make, counted, KINDS, about, answers, namesOf, backdrop, heatMaps } = Drawing;
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const say = (text) => {
    $("news").textContent = text;
  };
  const hint = (text) => {
    $("hint").textContent = text;
    $("hint").hidden = !text;
    if (text) say(text);
  };
  const sleep = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

  let token = ""; // in memory only
  let models = [];
  let cards = []; // one for each image, the latest first

  // ---- asking the server

  class Denied extends Error {}
  const NO_ANSWER = "The server does not answer. Is it still running?";
  const ask = async (address, options = {}, onWait = () => {}) => {
    for (let attempt = 1; ; attempt += 1) {
      const headers = token ? { Authorization: `Bearer ${token}` } : {};
      let answer;
      try {
        answer = await fetch(address, { ...options, headers });
      } catch (error) {
        throw error.name === "AbortError" ? error : new Error(NO_ANSWER);
      }
      const wait = Number(answer.headers.get("Retry-After"));
      if (wait > 0 && attempt < (TRIES[answer.status] ?? 0)) {
        const seconds = Math.min(wait, LONGEST_WAIT) * (1 + Math.random());
        onWait();
        await sleep(seconds);
        options.signal?.throwIfAborted();
        continue;
      }
      const data = await answer.json().catch(() => ({}));
      // 422: no image could be read, and each says why
      if (answer.ok || data.predictions) return data;
      const text = data.error || `The server answered with status ${answer.status}.`;
      throw answer.status === 401 ? new Denied(text) : new Error(text);
    }
  };

  // a few requests at once: the server makes batches of them
  const line = [];
  let under = 0;
  const next = () => {
    while (under < AT_ONCE && line.length) {
      under += 1;
      line
        .shift()()
        .finally(() => {
          under -= 1;
          next();
        });
    }
  };
  const inLine = (task) =>
    new Promise((done) => {
      line.push(() => task().finally(done));
      next();
    });

  // ---- models

  const model = () => models.find((each) => each.name === $("model").value) ?? models[0];
  const heads = () => [...$("heads").querySelectorAll("input:checked")].map((box) => box.value);

  const showModel = () => {
    const { kind, explain } = model();
    $("about").textContent = about(model());
    $("task").textContent = KINDS[kind].task;
    const both = FIRST.every((name) => explain.includes(name));
    const order = both ? [...FIRST, ...explain.filter((name) => !FIRST.includes(name))] : explain;
    const boxes = order.map((name, place) => {
      const box = make("input", { type: "checkbox", value: name });
      box.checked = place < (both ? 2 : 1);
      return make("label", {}, box, name);
    });
    $("heads").replaceChildren($("heads").querySelector("legend"), ...boxes);
    $("heads").hidden = boxes.length === 0;
  };

  const showModels = () => {
    $("model").replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
    $("choice").hidden = models.length < 2;
    showModel();
    for (const id of ["add", "settings"]) $(id).hidden = false;
    $("settings").hidden = $("choice").hidden && $("heads").hidden;
  };

  const fail = (error) => {
    $("about").textContent = error.message;
    say(error.message);
  };
  const askForToken = () => {
    const again = Boolean(token);
    token = "";
    $("access").hidden = false;
    $("add").hidden = $("settings").hidden = true;
    const wrong = "This is not the token of this server.";
    fail(new Error(again ? wrong : "This server asks for a token before it classifies images."));
    $("token").value = "";
    $("token").focus();
  };
  const open = async () => {
    try {
      ({ models } = await ask("v1/models"));
      while (!models.length) {
        fail(new Error("The server is still opening its models."));
        await sleep(2);
        ({ models } = await ask("v1/models"));
      }
    } catch (error) {
      if (error instanceof Denied) askForToken();
      else fail(error);
      return;
    }
    $("access").hidden = true;
    showModels();
  };

  // ---- results

  const write = (card, ...parts) => card.text.replaceChildren(card.title, ...parts);
  const note = (card, text) => write(card, make("p", { class: "facts" }, text));
  const refuse = (card, text, again) => {
    card.outcome = "failed";
    const parts = [make("p", { class: "failed" }, text)];
    if (again) {
      const button = make("button", { type: "button" }, "Try again");
      button.setAttribute("aria-label", `Try again: ${card.file.name}`);
      button.addEventListener("click", () => classify([card]));
      parts.push(button);
    }
    write(card, ...parts);
  };
  const show = (card, prediction) => {
    if (prediction.error) {
      refuse(card, `This file cannot be read: ${prediction.error}.`, false);
      return;
    }
    card.outcome = "done";
    const { name, behind, parts } = answers[model().kind](prediction, namesOf(model()).length);
    card.spoken = behind ? `${name}, ${behind}` : name;
    const first = make("p", { class: "class" }, make("b", {}, name), behind && ` ${behind}`);
    const lines = [first];
    if (prediction.outlier) {
      card.spoken += ", unlike the training images";
      const text = `Unlike the training images: the ${KINDS[model().kind].noun} means little.`;
      lines.push(make("p", { class: "unlike" }, text));
    }
    write(card, ...lines, ...parts);
  };

  // ---- from an image to its answer

  const request = (card, explain) => {
    const query = new URLSearchParams({ model: model().name });
    if (explain.length) query.set("explain", explain.join(","));
    const body = new FormData();
    body.append("images", card.file, card.file.name);
    const { signal } = card.stop;
    return ask(`v1/predict?${query}`, { method: "POST", body, signal }, () => {
      if (!card.outcome) note(card, "The server is busy. Trying again …");
    });
  };
  const most = Number($("add").dataset.fileBytes);
  const predict = async (card) => {
    const { signal } = card.stop;
    if (signal.aborted) return;
    const { size } = card.file;
    if (size > most) {
      refuse(card, `This file has ${megabytes(size)}; this server takes ${megabytes(most)} at most.`, false);
      return;
    }
    try {
      const { predictions } = await request(card, []);
      if (!signal.aborted) show(card, predictions[0]);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Denied && !$("add").hidden) askForToken();
      refuse(card, error.message, true);
    }
  };
  const explain = async (card) => {
    const { signal } = card.stop;
    const chosen = heads();
    const drawing = (card.drawing += 1); // only the latest is shown
    card.maps.replaceChildren();
    if (signal.aborted || card.outcome !== "done" || !chosen.length) return;
    card.maps.replaceChildren(make("p", { class: "facts" }, "Drawing the heat maps …"));
    try {
      const { predictions } = await request(card, chosen);
      if (signal.aborted || drawing !== card.drawing) return;
      const address = card.blank ? "" : card.address;
      card.maps.replaceChildren(...heatMaps(address, predictions[0].explanations));
    } catch (error) {
      if (signal.aborted || drawing !== card.drawing) return;
      card.maps.replaceChildren(make("p", { class: "failed" }, `No heat maps: ${error.message}`));
    }
  };

  const count = () => {
    const done = cards.filter((card) => card.outcome === "done").length;
    const failed = cards.filter((card) => card.outcome === "failed").length;
    const left = cards.length - done - failed;
    const parts = [`${counted(done, "image")} ${KINDS[model().kind].done}`];
    if (failed) parts.push(`${failed} failed`);
    if (left) parts.push(`${left} to go`);
    $("count").textContent = `${parts.join(", ")}.`;
    $("results").hidden = cards.length === 0;
  };
  const restart = (card) => {
    card.stop.abort();
    card.stop = new AbortController();
  };
  const classify = async (some) => {
    for (const card of some) {
      restart(card);
      card.outcome = "";
      card.maps.replaceChildren();
      note(card, "Waiting …");
    }
    count();
    const { length } = some;
    await Promise.all(some.map((card) => inLine(() => predict(card).finally(count))));
    const [card] = some;
    if (length === 1 && card.outcome === "done") say(`${card.file.name}: ${card.spoken}.`);
    else if (length === 1) say(`${card.file.name}: ${card.text.querySelector(".failed")?.textContent ?? ""}`);
    else say($("count").textContent);
    for (const each of some) inLine(() => explain(each));
  };

  const cardOf = (file) => {
    const address = URL.createObjectURL(file);
    const image = make("img", { src: address, alt: "", decoding: "async" });
    const photo = make("figure", { class: "photo" }, image);
    const title = make("h3", { class: "path" }, file.name);
    const text = make("div", { class: "text" }, title);
    const maps = make("div", { class: "maps" });
    const item = make("li", { class: "result" }, photo, text, maps);
    const stop = new AbortController();
    const card = { file, address, item, title, text, maps, stop, outcome: "", drawing: 0 };
    image.addEventListener("error", () => {
      card.blank = true;
      image.replaceWith(make("div", { class: "blank" }, "No preview: this browser cannot show this file."));
      for (const grey of card.maps.querySelectorAll(".grey")) grey.replaceWith(backdrop(""));
    });
    return card;
  };
  const NOTHING = "No image came with it. Add image files or a copied image, not folders, links or text.";
  const add = (files) => {
    if (!models.length || $("add").hidden) return;
    const fresh = files.map(cardOf);
    hint(fresh.length ? "" : NOTHING);
    if (!fresh.length) return;
    cards = [...fresh, ...cards];
    $("list").prepend(...fresh.map((card) => card.item));
    classify(fresh);
  };

  // ---- drop, paste, choose, photograph

  for (const id of ["files", "camera"]) {
    $(id).addEventListener("change", (event) => {
      const files = [...event.target.files];
      event.target.value = ""; // so that the same file can be chosen again
      if (files.length) add(files);
    });
  }
  // all over the page: a file dropped beside the frame would be opened instead
  let depth = 0;
  const light = (on) => $("add").classList.toggle("over", on);
  addEventListener("dragenter", () => light((depth += 1) > 0));
  addEventListener("dragleave", () => light((depth -= 1) > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    light(false);
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    const folder = (item) => item.webkitGetAsEntry?.()?.isDirectory;
    add(items.filter((item) => !folder(item)).map((item) => item.getAsFile()));
  });
  addEventListener("paste", (event) => {
    if (event.target.closest?.("#token")) return;
    event.preventDefault();
    add([...event.clipboardData.files]);
  });
  if (navigator.clipboard?.read) $("paste").hidden = false;
  $("paste").addEventListener("click", async () => {
    const files = [];
    try {
      for (const item of await navigator.clipboard.read()) {
        const type = item.types.find((each) => each.startsWith("image/"));
        if (type) files.push(new File([await item.getType(type)], `pasted.${type.slice(6)}`, { type }));
      }
    } catch {
      hint("The browser does not let this page read the clipboard. Press Ctrl+V instead.");
      return;
    }
    add(files);
  });

  // ---- settings

  $("model").addEventListener("change", () => {
    showModel();
    $("settings").hidden = $("choice").hidden && $("heads").hidden;
    if (cards.length) classify(cards);
  });
  $("heads").addEventListener("change", () => {
    for (const card of cards) if (card.outcome === "done") inLine(() => explain(card));
  });
  $("clear").addEventListener("click", () => {
    for (const card of cards) {
      card.stop.abort();
      URL.revokeObjectURL(card.address);
    }
    cards = [];
    $("list").replaceChildren();
    count();
    say("All results were removed.");
    $("files").focus();
  });
  $("access").addEventListener("submit", async (event) => {
    event.preventDefault();
    token = $("token").value.trim();
    await open();
    if (!models.length || !token) return;
    $("token").value = "";
    $("files").focus();
    const failed = cards.filter((card) => card.outcome === "failed");
    if (failed.length) classify(failed);
  });
  open();
})();
