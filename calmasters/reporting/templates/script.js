"use strict";

// Tables: a click on a heading sorts the rows; a second click reverses the order.

function valueOf(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = Number(text);
  return text === "" || Number.isNaN(number) ? text : number;
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), undefined, { numeric: true });
}

function sortBy(heading) {
  const table = heading.closest("table");
  const falling = heading.getAttribute("aria-sort") === "ascending";
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  const column = heading.cellIndex;
  rows.sort((a, b) => (falling ? -1 : 1) * compare(valueOf(a, column), valueOf(b, column)));
  table.tBodies[0].append(...rows);
}

for (const button of document.querySelectorAll(".sortable thead button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

// The filter hides rows of the table of masters, and the masters themselves.

// A card opens where it is linked to, and where a text is found in a few masters.

const FEW = 5;
const cards = [...document.querySelectorAll(".card")];
const filter = document.getElementById("filter");
const verdict = document.getElementById("verdict");

function applyFilter() {
  const terms = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.getElementById("table").tBodies[0].rows];
  const found = [];
  for (const row of rows) {
    const article = document.getElementById(row.dataset.for);
    const title = article.querySelector("h3").textContent;
    const name = article.querySelector(".name").textContent;
    const text = `${title} ${row.dataset.night} ${name}`.toLowerCase();
    const fits = terms.every((term) => text.includes(term))
      && (!verdict.value || row.dataset.verdict === verdict.value);
    row.hidden = article.hidden = !fits;
    if (fits) found.push(article.querySelector(".card"));
  }
  document.getElementById("shown").textContent = `${found.length} of ${rows.length} shown`;
  const search = terms.length > 0 && found.length <= FEW;
  for (const card of cards) {
    if (search && found.includes(card) && !card.open) {
      card.open = true;
      card.dataset.found = "";
    } else if ("found" in card.dataset && !(search && found.includes(card))) {
      card.open = false;
      delete card.dataset.found;
    }
  }
}

function openLinked() {
  const article = location.hash.startsWith("#m-") && document.getElementById(location.hash.slice(1));
  if (!article) return;
  if (article.hidden) {
    filter.value = verdict.value = "";
    applyFilter();
  }
  article.querySelector(".card").open = true;
  article.scrollIntoView();
}

addEventListener("hashchange", openLinked);
// A second click on the same link changes no hash.
addEventListener("click", (event) => {
  if (event.target.closest?.("a")?.hash === location.hash) openLinked();
});

const openAll = document.getElementById("open-all");
openAll.addEventListener("click", () => {
  const open = openAll.textContent === "Open all";
  for (const card of cards) card.open = open && !card.closest("article").hidden;
  openAll.textContent = open ? "Close all" : "Open all";
});

filter.addEventListener("input", applyFilter);
verdict.addEventListener("change", applyFilter);
document.querySelector(".controls").hidden = false;
applyFilter();
openLinked();

// Light or dark: the setting of the system, until the button is pressed.

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// Pictures: a click opens them; + and - zoom, 0 fits the window, 1 shows them at 1:1.

const dialog = document.getElementById("zoom");
const pane = dialog.querySelector(".pane");
const picture = pane.querySelector("img");
const note = document.getElementById("zoom-note");
let zoomed = null;
let scale = 1;

function setScale(wanted) {
  scale = Math.min(16, Math.max(1 / 16, wanted));
  picture.style.width = `${picture.naturalWidth * scale}px`;
  picture.classList.toggle("large", scale > 1);
  const real = scale / Number(picture.dataset.scale);
  const shown = real >= 1 ? `${+real.toFixed(1)}:1` : `1:${+(1 / real).toFixed(1)}`;
  document.getElementById("zoom-scale").textContent = shown;
}

function fit() {
  const across = pane.clientWidth / picture.naturalWidth;
  setScale(Math.min(across, pane.clientHeight / picture.naturalHeight));
}

async function show(source, pixels, text, then) {
  picture.src = source;
  picture.alt = zoomed.querySelector("img").alt;
  picture.dataset.scale = pixels;
  note.textContent = text;
  await picture.decode();
  then();
}

function showWhole(then) {
  const pixels = zoomed.dataset.scale;
  const text = pixels > 1
    ? `The complete master; one pixel here is ${pixels} by ${pixels} pixels. 1:1 shows nine sections.`
    : "The complete master at 1:1.";
  return show(zoomed.querySelector("img").src, pixels, text, then);
}

function showReal() {
  const sections = zoomed.dataset.sections;
  if (!sections) return showWhole(() => setScale(Number(picture.dataset.scale)));
  const text = "Nine sections at 1:1: the corners, the middles of the sides, the centre.";
  return show(sections, 1, text, () => setScale(1));
}

const actions = {
  in: () => setScale(scale * 1.5),
  out: () => setScale(scale / 1.5),
  fit: () => showWhole(fit),
  real: showReal,
  close: () => dialog.close(),
};

for (const button of document.querySelectorAll(".zoom")) {
  button.addEventListener("click", () => {
    zoomed = button;
    document.getElementById("zoom-title").textContent = button.dataset.title;
    dialog.showModal();
    showWhole(fit);
  });
}

dialog.addEventListener("click", (event) => {
  const wanted = event.target.dataset.do;
  if (wanted) actions[wanted]();
  if (event.target === dialog) dialog.close();
});

dialog.addEventListener("keydown", (event) => {
  const action = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "real" }[event.key];
  if (action) actions[action]();
});

dialog.addEventListener("close", () => zoomed.focus());

// Drag to move.
pane.addEventListener("pointermove", (event) => {
  if (event.buttons === 1) pane.scrollBy(-event.movementX, -event.movementY);
});
picture.draggable = false;
