// Fetches the live part of the page every few seconds and replaces the sections that differ. Scroll
// position, focus and a half-typed filter stay as they are.
"use strict";

const live = document.getElementById("live");
const lost = document.getElementById("lost");
const pause = document.getElementById("pause");
const seconds = Number(live.dataset.refreshSeconds);

const parts = (root) => [...root.querySelectorAll("[id^='live-']")];
const names = (root) => parts(root).map((part) => part.id).join(" ");

function selecting() {
  const selection = document.getSelection();
  return !selection.isCollapsed && live.contains(selection.anchorNode);
}

// Finds the same element in the new section: a link by its address; of several, the same one.
function refocus(part, focused) {
  const same = [...part.querySelectorAll(focused.selector)];
  (same[focused.place] || same[0])?.focus({ preventScroll: true });
}

function focusIn(part) {
  const element = document.activeElement;
  if (!part.contains(element) || element === part) return null;
  const href = element.getAttribute("href");
  const selector = href ? `[href="${CSS.escape(href)}"]` : element.localName;
  return { selector, place: [...part.querySelectorAll(selector)].indexOf(element) };
}

// What was opened stays open.
function reopen(old, fresh) {
  for (const part of old.querySelectorAll("details[open][id]")) {
    const same = fresh.querySelector(`#${CSS.escape(part.id)}`);
    if (same) same.open = true;
  }
}

function put(old, fresh) {
  reopen(old, fresh);
  if (old.outerHTML === fresh.outerHTML) return;
  const focused = focusIn(old);
  const scrolled = [...old.querySelectorAll(".scroller")].map((part) => part.scrollTop);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".scroller").forEach((part, n) => { part.scrollTop = scrolled[n] || 0; });
  if (focused) refocus(fresh, focused);
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html").body;
  const { scrollX, scrollY } = window;
  if (names(page) === names(live)) {
    for (const part of parts(page)) put(document.getElementById(part.id), document.adoptNode(part));
  } else {
    live.replaceChildren(...page.childNodes);
  }
  window.scrollTo(scrollX, scrollY);
  document.title = live.querySelector("[data-title]")?.dataset.title || document.title;
}

function showLost(isLost) {
  if (lost.hidden === !isLost) return;
  const shown = live.querySelector(".as-of");
  document.getElementById("lost-since").textContent = shown ? shown.textContent : "–";
  lost.hidden = !isLost;
  document.body.classList.toggle("is-lost", isLost);
}

async function refresh() {
  const url = new URL(window.location);
  url.searchParams.set("fragment", "1");
  try {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(15000) });
    const html = await answer.text();
    if (!answer.ok && answer.status !== 404) throw new Error(answer.status);
    if (pause.getAttribute("aria-pressed") === "false" && !selecting()) show(html);
    showLost(false);
  } catch {
    // The last snapshot stays on the page; without one, the page itself says what is wrong.
    showLost(live.querySelector(".as-of") !== null);
  }
}

async function run() {
  for (;;) {
    await new Promise((resume) => { setTimeout(resume, seconds * 1000); });
    if (!document.hidden && pause.getAttribute("aria-pressed") === "false") await refresh();
  }
}

// What a screen reader says of the tabs; what is seen is the style sheet's work.
function markTab() {
  const tabs = [...document.querySelectorAll(".tabs a")];
  const chosen = tabs.find((tab) => tab.hash === window.location.hash) || tabs[0];
  for (const tab of tabs) tab.setAttribute("aria-current", String(tab === chosen));
}

pause.hidden = false;
window.addEventListener("hashchange", markTab);
markTab();
pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(pause.getAttribute("aria-pressed") === "false"));
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
document.title = live.querySelector("[data-title]")?.dataset.title || document.title;
run();
