// marks say their numbers at once, on pointer and focus, and are linked to tables and other plots;
// without this the browser shows their titles
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const SPEAKS = ".mark, #confusion td[data-tip]";

  for (const mark of all(".mark")) {
    const title = mark.querySelector("title");
    mark.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  for (const cell of all("#confusion td[title]")) {
    cell.dataset.tip = cell.title;
    cell.removeAttribute("title");
  }
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.getElementById("main").append(tip);

  // a head's rows and marks, or a class's, light up together
  let lit = [];
  const light = (owner) => {
    if (lit[0] === owner) return;
    for (const element of lit) element.classList.remove("lit", "here");
    const { head, class: label } = owner?.dataset ?? {};
    const same = (element) =>
      head ? element.dataset.head === head : label && element.dataset.class === label;
    lit = owner ? [owner, ...all("tr[data-head], tr[data-class], .mark").filter(same)] : [];
    for (const element of lit) element.classList.add("lit");
    owner?.classList.add("here");
  };

  // above what speaks or else below it, and within the window
  let speaker = null;
  let focused = null;
  let said = [];
  let dismissed = [];
  const place = (owner, pointer) => {
    const box = owner.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const middle = Math.min(Math.max(pointer ?? (box.left + box.right) / 2, box.left), box.right);
    const left = Math.max(4, Math.min(middle - tip.offsetWidth / 2, width - tip.offsetWidth - 4));
    const above = box.top - tip.offsetHeight - 4;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above >= 0 ? above : box.bottom + 4) + scrollY}px`;
  };
  const hide = () => {
    speaker = null;
    tip.hidden = true;
  };
  const words = (element) => element.dataset.tip ?? element.getAttribute("aria-label");
  const show = (owners, pointer) => {
    const [owner, ...others] = owners;
    if (dismissed.includes(owner)) return;
    const more = others.length > 3 ? [`and ${others.length - 3} more`] : [];
    const text = [...[owner, ...others.slice(0, 3)].map(words), ...more].join("\n");
    if (owner === speaker && text === tip.textContent) return;
    dismissed = [];
    said = owners;
    speaker = owner;
    tip.textContent = text;
    // at the left edge it is as wide as it can be, whatever was there before
    tip.style.left = "0";
    tip.hidden = false;
    place(owner, pointer);
    light(owner.closest(".mark, tr"));
  };

  // where marks lie upon each other, the one whose value is nearest, and those that hide it
  const HIDES = 4;
  const distance = (mark, event) => {
    const box = (mark.querySelector("circle") ?? mark).getBoundingClientRect();
    return Math.hypot(box.x + box.width / 2 - event.clientX, box.y + box.height / 2 - event.clientY);
  };
  const under = (event) => {
    const found = event.target.closest?.(SPEAKS);
    if (!found?.matches(".mark")) return found ? [found] : [];
    const marks = document.elementsFromPoint(event.clientX, event.clientY);
    const near = [...new Set(marks.map((element) => element.closest(".mark") ?? found))];
    near.sort((a, b) => distance(a, event) - distance(b, event));
    return near.filter((mark) => distance(mark, event) < distance(near[0], event) + HIDES);
  };
  let leaving = 0;
  const leave = () => {
    leaving = 0;
    if (focused) return show([focused]);
    hide();
    light(null);
  };
  const point = (event) => {
    // one may go to the tooltip and read it there
    const within = event.target === tip;
    const found = within ? [] : under(event);
    if (within || found.length || speaker === null) {
      clearTimeout(leaving);
      leaving = 0;
    }
    if (within) return;
    if (found.length) return show(found, event.clientX);
    dismissed = [];
    if (speaker) leaving ||= setTimeout(leave, 150);
    else light(event.target.closest?.("tr[data-head], tr[data-class]") ?? null);
  };
  document.addEventListener("pointerover", point);
  document.addEventListener("pointermove", point);
  document.documentElement.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") leave();
  });
  document.addEventListener("focusin", (event) => {
    const found = event.target.closest(SPEAKS);
    if (!found || !event.target.matches(":focus-visible")) return;
    dismissed = [];
    focused = found;
    show([found]);
  });
  document.addEventListener("focusout", () => {
    if (focused) {
      focused = null;
      leave();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !speaker) return;
    dismissed = said;
    focused = null;
    hide();
  });

  // one stop of the tab key for each plot, arrows within it
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const stops = (group) => {
    const marks = all(".mark:not(.dim)", group);
    const first = marks.find((mark) => mark.getAttribute("tabindex") === "0") ?? marks[0];
    for (const mark of all(".mark", group)) mark.setAttribute("tabindex", mark === first ? 0 : -1);
    return marks;
  };
  for (const group of all(".marks")) {
    stops(group);
    group.addEventListener("keydown", (event) => {
      const marks = stops(group);
      const here = marks.indexOf(event.target);
      const ends = { Home: 0, End: marks.length - 1 };
      const to = marks[ends[event.key] ?? here + STEPS[event.key]];
      if (event.ctrlKey || event.altKey || event.metaKey || !to) return;
      event.preventDefault();
      event.target.setAttribute("tabindex", -1);
      to.setAttribute("tabindex", 0);
      to.focus();
    });
  }

  // what is filtered out of the table fades in the plots
  document.getElementById("filter").addEventListener("input", () => {
    const gone = new Set(all("#heads tr[hidden]").map((row) => row.dataset.head));
    for (const element of all(".plot [data-head]")) {
      const faded = gone.has(element.dataset.head);
      element.classList.toggle("dim", faded);
      if (faded) element.setAttribute("aria-hidden", "true");
      else element.removeAttribute("aria-hidden");
    }
    for (const group of all(".marks")) stops(group);
  });
})();
