"use strict";
// What the pages of utterances share: elements, slice columns to choose by, rows drawn as the reader scrolls.
// Data only ever becomes text nodes.
const LARGEST_SLICE = 200; // a column with more values names utterances, not groups
const byId = (id) => document.getElementById(id);
// The page's own data. A report of several pages packs it (gzip in base64): a fifth of the size.
const pageData = async () => {
  const { type, textContent } = byId("data");
  if (type === "application/json") return JSON.parse(textContent);
  const packed = Uint8Array.from(atob(textContent), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
};
const make = (tag, className, ...children) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
};
const compareIds = new Intl.Collator("en", { numeric: true }).compare;
const sliceKey = (column, value) => `${column}=${value}`;

// Offers the slice columns worth choosing by (more than one value, and groups rather than names) in a
// select; returns for each column whether it is one.
const offerSlices = (columns, rows, select) => columns.map((column, index) => {
  const values = new Set(rows.map((row) => row.slices[index]).filter((value) => value !== null));
  if (values.size < 2 || values.size > LARGEST_SLICE || values.size === rows.length) return false;
  const group = document.createElement("optgroup");
  group.label = column;
  for (const value of [...values].sort()) {
    const option = make("option", "", `${column}: ${value || "(empty)"}`);
    option.value = sliceKey(column, value);
    group.append(option);
  }
  select.append(group);
  return true;
});

// A fold with names and values, which are asked for when it is first opened.
const rawTexts = (entries) => {
  const details = make("details", "", make("summary", "", "raw texts"));
  details.addEventListener("toggle", () => {
    if (details.querySelector("dl")) return;
    details.append(make("dl", "", ...entries().flatMap(
      ([name, value]) => [make("dt", "", name), make("dd", "", value)])));
  });
  return details;
};

// Returns a function that shows rows in the list, so many at a time and more as the reader scrolls, and
// says how many of the total they are.
const scrolled = (list, shown, total, draw, chunk) => {
  let chosen = [], drawn = 0;
  const more = () => {
    list.append(...chosen.slice(drawn, drawn + chunk).map(draw));
    drawn = Math.min(drawn + chunk, chosen.length);
    watch.disconnect();
    if (drawn < chosen.length) watch.observe(list.lastElementChild);
  };
  const watch = new IntersectionObserver(
    (entries) => { if (entries.some((entry) => entry.isIntersecting)) more(); },
    { rootMargin: "1500px" });
  return (rows) => {
    chosen = rows;
    drawn = 0;
    list.replaceChildren();
    if (chosen.length) more();
    const number = (value) => value.toLocaleString("en");
    shown.textContent = chosen.length === total
      ? `${number(total)} utterances`
      : `${number(chosen.length)} of ${number(total)} utterances`;
  };
};
