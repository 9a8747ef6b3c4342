"use strict";
// Draws the utterances from the page's own JSON (its shape: whisperlab/report/rows.py); after rows.js.
// Data only ever becomes text nodes. The view's state lives in the URL's fragment:
// report.html#sort=id&state=failed&q=word&slice=speaker%3Dp225&reversed=1; #id=u7 is one utterance.
(async () => {
  const CHUNK = 100; // rows drawn at a time; more follow as the reader scrolls
  const STATES = ["failed", "timed_out", "truncated", "empty", "ok"];
  const search = byId("search"), state = byId("state"), slice = byId("slice");
  const sort = byId("sort"), direction = byId("direction"), list = byId("rows"), shown = byId("shown");
  shown.textContent = "Reading the utterances. A browser from before 2023 cannot."; // until they are drawn
  const { columns, rows } = await pageData();

  const seconds = (value) =>
    value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toFixed(2)} s`;
  const wer = (row) => (row.words ? row.errors / row.words : null);

  const grouping = offerSlices(columns, rows, slice);
  for (const row of rows) {
    row.haystack = [row.id, row.reference, row.text, ...(row.error || []), ...(row.failures || [])]
      .join("\n").toLowerCase();
    row.keys = new Set(columns.map((column, index) => sliceKey(column, row.slices[index])));
  }

  // Natural direction first; an undefined value is last either way.
  const largest = (value) => (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return { last: (x === null) - (y === null) };
    return y - x;
  };
  const orders = {
    // no text at all is worse than any error count
    errors: (a, b) => {
      const lost = (row) => (row.errors === null ? 1 : 0);
      return lost(b) - lost(a) || (b.errors || 0) - (a.errors || 0) || (wer(b) || 0) - (wer(a) || 0);
    },
    wer: largest(wer),
    id: () => 0,
    audio: largest((row) => row.audio),
    total: largest((row) => row.total),
    state: (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state),
  };
  let reversed = false;
  const ordered = (chosen) => {
    const sign = reversed ? -1 : 1;
    return chosen.sort((a, b) => {
      const found = orders[sort.value](a, b);
      if (typeof found === "object") return found.last || compareIds(a.id, b.id);
      return sign * (found || compareIds(a.id, b.id));
    });
  };

  const alignment = (row) => {
    const line = make("p", "alignment");
    const extended = (tag, word) => { // neighbouring insertions (deletions) are one mark
      if (line.lastChild && line.lastChild.nodeName === tag) line.lastChild.append(` ${word}`);
      else line.append(line.hasChildNodes() ? " " : "", make(tag, "", word));
    };
    for (const edit of row.edits) {
      if (typeof edit === "string") line.append(line.hasChildNodes() ? " " : "", edit);
      else if (!edit[1]) extended("DEL", edit[0]);
      else if (!edit[0]) extended("INS", edit[1]);
      else {
        if (line.hasChildNodes()) line.append(" ");
        const pair = make("span", "sub", make("small", "", edit[0]), edit[1]);
        pair.title = `substitution: “${edit[0]}” was said, “${edit[1]}” was heard`;
        line.append(pair);
      }
    }
    if (!row.edits.length) line.append(make("span", "none", "no words on either side"));
    return line;
  };
  const texts = (row) => [
    ["reference", row.reference],
    ["hypothesis", row.text],
    ["language", row.language],
    ["batch", String(row.batch)],
    ...columns.map((column, index) => [column, row.slices[index]]),
  ].filter(([, value]) => value !== null && value !== "");
  const draw = (row) => {
    const rate = wer(row);
    const counted = row.errors === null ? "no text" : `${row.errors} of ${row.words}`;
    const content = make("div", "content");
    if (row.error) content.append(make("p", "error", make("code", "", row.error[0]), ` ${row.error[1]}`));
    if (row.edits) content.append(alignment(row));
    else content.append(make("p", "alignment none", row.reference || "no reference"));
    const meta = make("div", "meta", make("code", "", row.id));
    if (row.state !== "ok") {
      meta.append(make("span", `badge state-${row.state}`, row.state.replace("_", " ")));
    }
    for (const failure of row.failures || []) meta.append(make("span", "badge failure", failure));
    if (row.audio !== null) meta.append(make("span", "", `${seconds(row.audio)} audio`));
    if (row.total !== null) meta.append(make("span", "", `took ${seconds(row.total)}`));
    columns.forEach((column, index) => {
      if (grouping[index] && row.slices[index]) meta.append(make("span", "", `${column} ${row.slices[index]}`));
    });
    meta.append(rawTexts(() => texts(row)));
    content.append(meta);
    const figure = make("div", "rate", make("b", "", rate === null ? "–" : `${(100 * rate).toFixed(1)} %`), make("small", "", counted));
    const article = make("article", `row state-${row.state}`, figure, content);
    article.dataset.id = row.id;
    return article;
  };

  const present = scrolled(list, shown, rows.length, draw, CHUNK);

  let only = null; // the one utterance that a link asked for, until the reader filters anew
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    present(ordered(rows.filter((row) =>
      (only === null || row.id === only) &&
      (!state.value || row.state === state.value) &&
      (!slice.value || row.keys.has(slice.value)) &&
      (!wanted || row.haystack.includes(wanted)))));
    direction.textContent = reversed ? "↑" : "↓";
  };

  const choose = (select, value) => {
    if ([...select.options].some((option) => option.value === value)) select.value = value;
  };
  const fromAddress = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    search.value = asked.get("q") || "";
    state.value = ""; slice.value = ""; sort.value = "errors";
    choose(state, asked.get("state") || "");
    choose(slice, asked.get("slice") || "");
    choose(sort, asked.get("sort") || "errors");
    reversed = asked.get("reversed") === "1";
    only = asked.get("id");
    show();
    if (only !== null) byId("utterances").scrollIntoView();
  };
  const changed = () => {
    const asked = new URLSearchParams();
    only = null;
    if (search.value) asked.set("q", search.value);
    if (state.value) asked.set("state", state.value);
    if (slice.value) asked.set("slice", slice.value);
    if (sort.value !== "errors") asked.set("sort", sort.value);
    if (reversed) asked.set("reversed", "1");
    history.replaceState(null, "", asked.size ? `#${asked}` : "#utterances");
    show();
  };

  search.addEventListener("input", changed);
  for (const select of [state, slice]) select.addEventListener("change", changed);
  sort.addEventListener("change", () => { reversed = false; changed(); });
  direction.addEventListener("click", () => { reversed = !reversed; changed(); });
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("button[data-column]")) {
    button.addEventListener("click", () => {
      choose(slice, sliceKey(button.dataset.column, button.dataset.value));
      changed();
      byId("utterances").scrollIntoView();
    });
  }
  // the sections' own anchors (#summary, ...) are not a view
  addEventListener("hashchange", () => { if (location.hash.includes("=")) fromAddress(); });
  fromAddress();
})();
