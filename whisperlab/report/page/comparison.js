"use strict";
// Draws the compared utterances from the page's own JSON (its shape: whisperlab/report/comparison_rows.py); after rows.js.
// Data only ever becomes text nodes. The view's state lives in the URL's fragment:
// comparison.html#change=B%3Aworse&kind=del&length=1-5&slice=speaker%3Dp225&q=word&sort=id
(() => {
  const CHUNK = 60; // rows drawn at a time; more follow as the reader scrolls
  const LONGEST_LABEL = 28; // characters of a slice value that still stand beside an utterance
  const LEAD_SECONDS = 0.15; // a word is played from a little before its start
  const { labels, columns, rows, total } = JSON.parse(document.getElementById("data").textContent);
  const list = byId("rows"), shown = byId("shown");
  const controls = Object.fromEntries(
    ["search", "change", "kind", "slice", "length", "sort"].map((id) => [id, byId(id)]));

  const grouping = offerSlices(columns, rows, controls.slice);

  const kindOf = (reference, heard) => {
    if (heard === 1 || (!reference && !heard)) return "";
    if (!reference) return "ins";
    return heard ? "sub" : "del";
  };
  for (const row of rows) {
    row.haystack = [row.id, row.reference, ...row.texts].join("\n").toLowerCase();
    row.keys = new Set(columns.map((column, index) => sliceKey(column, row.slices[index])));
    row.kinds = new Set(row.aligned.flatMap(([said, heard]) => heard.map((word) => kindOf(said, word))));
    row.kinds.delete("");
    if (!row.kinds.size) row.kinds.add("none");
    row.changes = new Set(labels.slice(1).map((label, index) => {
      const change = row.errors[index + 1] - row.errors[0];
      return `${label}:${change > 0 ? "worse" : change < 0 ? "better" : "same"}`;
    }));
    row.change = Math.max(...row.errors) - Math.min(...row.errors);
  }

  const orders = {
    change: (a, b) => b.change - a.change || Math.max(...b.errors) - Math.max(...a.errors),
    errors: (a, b) => Math.max(...b.errors) - Math.max(...a.errors),
    id: () => 0,
    length: (a, b) => b.words - a.words,
  };

  // One player for the page; the column that sounds is marked.
  const player = new Audio();
  let playing = null; // { row, buttons, stop, message }
  const mark = () => {
    if (!playing) return;
    const now = player.currentTime + LEAD_SECONDS;
    let current = -1;
    playing.row.aligned.forEach(([, , start], index) => {
      if (start !== null && start <= now) current = index;
    });
    playing.buttons.forEach((button, index) => button.classList.toggle("now", index === current));
  };
  const stop = () => {
    if (!playing) return;
    player.pause();
    for (const button of playing.buttons) button.classList.remove("now");
    playing.toggle.textContent = "▶ play";
    playing = null;
  };
  const play = (here, start) => {
    stop();
    playing = here;
    here.message.textContent = "";
    here.toggle.textContent = "■ stop";
    if (player.dataset.id !== here.row.id) {
      player.dataset.id = here.row.id;
      player.src = here.row.clip;
    }
    player.currentTime = Math.max(0, (start || 0) - LEAD_SECONDS);
    player.play().catch((error) => {
      if (error.name === "AbortError") return; // another word was chosen meanwhile
      here.message.textContent = "cannot be played: the file is not where it was, or this browser does not know its format";
      if (playing === here) stop();
    });
  };
  player.addEventListener("timeupdate", mark);
  player.addEventListener("ended", stop);

  const column = (here, [said, heard, start]) => {
    const differs = heard.some((word) => word !== heard[0]) ? " differs" : "";
    const cell = make(here ? "button" : "span", `column${differs}`);
    cell.append(make("b", "", said || " "));
    const spoken = [said ? `${said}` : "nothing said"];
    heard.forEach((word, index) => {
      const kind = kindOf(said, word);
      if (!kind) cell.append(make("span", "as-said", word === 1 ? said : " "));
      else cell.append(make("span", `word ${kind}`, kind === "del" ? said : word));
      if (kind) spoken.push(`${labels[index]} ${{ sub: `heard ${word}`, ins: `added ${word}`, del: "missed it" }[kind]}`);
    });
    if (here) {
      cell.type = "button";
      cell.tabIndex = -1;
      cell.setAttribute("aria-label", spoken.join(", "));
      cell.addEventListener("click", () => play(here, start));
      here.buttons.push(cell);
    }
    cell.title = spoken.length > 1 ? spoken.join("; ") : "";
    return cell;
  };
  // Arrow keys move among the words of an utterance, which is one stop of the Tab key.
  const roving = (line, buttons) => {
    if (!buttons.length) return;
    buttons[0].tabIndex = 0;
    line.setAttribute("role", "toolbar");
    line.setAttribute("aria-label", "Words; arrow keys move, Enter plays from there");
    line.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const at = buttons.indexOf(document.activeElement);
      if (!step || at < 0 || !buttons[at + step]) return;
      event.preventDefault();
      buttons[at].tabIndex = -1;
      buttons[at + step].tabIndex = 0;
      buttons[at + step].focus();
    });
  };
  const alignment = (row, here) => {
    if (!row.aligned.length) return make("p", "none", "no words on any side");
    const lines = make("span", "column lines", make("span", "", "said"));
    for (const label of labels) lines.append(make("span", "", label));
    const line = make("div", "words", lines, ...row.aligned.map((cells) => column(here, cells)));
    roving(line, here ? here.buttons : []);
    return line;
  };
  const texts = (row) => [
    ["reference", row.reference],
    ...row.texts.map((text, index) => [labels[index], text]),
    ...columns.map((name, index) => [name, row.slices[index]]),
  ].map(([name, value]) => [name, value || "–"]);
  const figure = (row) => {
    const node = make("div", "rate");
    row.errors.forEach((errors, index) => {
      const change = errors - row.errors[0];
      const sign = change > 0 ? ` (+${change})` : change < 0 ? ` (−${-change})` : "";
      node.append(make("span", index ? "" : "was", `${labels[index]} `, make("b", "", String(errors)), sign), make("br"));
    });
    node.append(make("small", "", `of ${row.words}`));
    return node;
  };
  const draw = (row) => {
    const here = row.clip ? { row, buttons: [], toggle: make("button", "", "▶ play"), message: make("span", "error") } : null;
    const content = make("div", "content", alignment(row, here));
    const meta = make("div", "meta");
    if (here) {
      here.toggle.type = "button";
      here.toggle.addEventListener("click", () => (playing === here ? stop() : play(here, 0)));
      meta.append(here.toggle);
    }
    meta.append(make("code", "", row.id));
    if (row.audio !== null) meta.append(make("span", "", `${row.audio.toFixed(2)} s audio`));
    columns.forEach((name, index) => {
      const value = row.slices[index];
      if (grouping[index] && value && value.length <= LONGEST_LABEL) meta.append(make("span", "", `${name} ${value}`));
    });
    meta.append(rawTexts(() => texts(row)));
    if (here) meta.append(here.message);
    content.append(meta);
    const change = labels.length === 2 ? row.errors[1] - row.errors[0] : 0; // of more, which one?
    const article = make("article", `row state-ok ${change > 0 ? "worse" : change < 0 ? "better" : ""}`, figure(row), content);
    article.dataset.id = row.id;
    return article;
  };

  const present = scrolled(list, shown, total, draw, CHUNK);

  const within = (words, band) => {
    const [least, most] = band.split("-");
    return words >= Number(least) && (!most || words <= Number(most));
  };
  const show = () => {
    stop();
    const { search, change, kind, slice, length, sort } = controls;
    const wanted = search.value.trim().toLowerCase();
    const chosen = rows.filter((row) =>
      (!change.value || row.changes.has(change.value)) &&
      (!kind.value || row.kinds.has(kind.value)) &&
      (!slice.value || row.keys.has(slice.value)) &&
      (!length.value || within(row.words, length.value)) &&
      (!wanted || row.haystack.includes(wanted)));
    chosen.sort((a, b) => orders[sort.value](a, b) || compareIds(a.id, b.id));
    present(chosen);
  };

  const KEYS = { search: "q", change: "change", kind: "kind", slice: "slice", length: "length", sort: "sort" };
  const DEFAULTS = { sort: "change" };
  const choose = (id, value) => {
    const control = controls[id], fallback = DEFAULTS[id] || "";
    control.value = value === null ? fallback : value;
    if (control.tagName === "SELECT" && control.selectedIndex < 0) control.value = fallback;
  };
  const fromAddress = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const [id, key] of Object.entries(KEYS)) choose(id, asked.get(key));
    show();
  };
  const changed = () => {
    const asked = new URLSearchParams();
    for (const [id, key] of Object.entries(KEYS)) {
      if (controls[id].value !== (DEFAULTS[id] || "")) asked.set(key, controls[id].value);
    }
    history.replaceState(null, "", asked.size ? `#${asked}` : "#utterances");
    show();
  };
  const leap = (id, value) => {
    choose(id, value);
    changed();
    byId("utterances").scrollIntoView();
  };

  for (const [id, control] of Object.entries(controls)) {
    control.addEventListener(id === "search" ? "input" : "change", changed);
  }
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("button[data-change]")) {
    button.addEventListener("click", () => leap("change", button.dataset.change));
  }
  for (const button of document.querySelectorAll("button[data-column]")) {
    button.addEventListener("click", () => leap("slice", sliceKey(button.dataset.column, button.dataset.value)));
  }
  // the sections' own anchors (#difference, ...) are not a view
  addEventListener("hashchange", () => { if (location.hash.includes("=")) fromAddress(); });
  fromAddress();
})();
