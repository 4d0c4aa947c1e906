"use strict";

// Parts of a page that take long stand at addresses of their own: 202 means that more is to come.
async function load(place) {
  let answer;
  try {
    answer = await fetch(place.dataset.load);
  } catch {
    place.textContent = "drrpack does not answer any more: start `drrpack view` again.";
    return;
  }
  const found = parsed(await answer.text()).querySelector("main");
  if (place.dataset.then === "reload" && answer.status === 200) return location.reload();
  if (place.innerHTML !== found.innerHTML) {
    const focused = place.contains(document.activeElement) && document.activeElement.href;
    place.replaceChildren(...found.childNodes);
    if (focused) [...place.querySelectorAll("a")].find(link => link.href === focused)?.focus();
  }
  if (answer.status === 202) setTimeout(load, 1000, place);
}

const parsed = text => new DOMParser().parseFromString(text, "text/html");

document.querySelectorAll("[data-load]").forEach(place => load(place));

// A class is decoded as a whole when its first picture is asked for.
const first = document.querySelector("main > .grid img[alt^='reconstruction']");
const waiting = document.querySelector("#waiting");
if (first && waiting) {
  const done = () => { waiting.textContent = ""; };
  first.addEventListener("load", done);
  first.addEventListener("error", done);
  setTimeout(() => {
    if (!first.complete) waiting.textContent = "The class is being decoded…";
  }, 500);
}

// The filter: the server filters, and only the table is exchanged.
const filter = document.querySelector("#filter");
let typed, asked = 0;

async function show() {
  const turn = ++asked;
  const address = `/?${new URLSearchParams(new FormData(filter.form))}`;
  const found = parsed(await (await fetch(address)).text()).querySelector("#classes");
  if (turn !== asked || !found) return;
  document.querySelector("#classes").replaceWith(found);
  history.replaceState(null, "", address);
}

filter?.addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(show, 150);
});

// Keys. Links do the work, so all of it can be reached without them.
const follow = rel => document.querySelector(`main a[rel="${rel}"]`)?.click();

function move(links, key) {
  const place = links.indexOf(document.activeElement);
  if (place < 0) return key === "ArrowRight" ? links[0] : undefined;
  if (key === "ArrowLeft") return links[place - 1] ?? follow("prev");
  if (key === "ArrowRight") return links[place + 1] ?? follow("next");
  const here = links[place].getBoundingClientRect();
  const rows = links.map(link => ({ link, at: link.getBoundingClientRect() }))
    .filter(({ at }) => key === "ArrowDown" ? at.top > here.top : at.top < here.top)
    .map(({ link, at }) => ({ link, far: [Math.abs(at.top - here.top), Math.abs(at.left - here.left)] }));
  rows.sort((a, b) => a.far[0] - b.far[0] || a.far[1] - b.far[1]);
  return rows[0]?.link;
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else follow("up");
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    if (filter) filter.focus();
    else location.href = "/#filter";
  } else if (event.key.startsWith("Arrow") && !typing) {
    const links = [...document.querySelectorAll("main > .grid a")];
    if (links.length) {
      const next = move(links, event.key);
      if (next) event.preventDefault();
      next?.focus();
    } else if (event.key === "ArrowLeft") follow("prev");
    else if (event.key === "ArrowRight") follow("next");
  }
});

// Back from an image, the focus is where it was.
if (location.hash) document.getElementById(location.hash.slice(1))?.focus();
