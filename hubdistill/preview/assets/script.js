"use strict";
// Shows a changed card in place: only what differs is exchanged, so that the place where one reads, opened
// parts and loaded images stay. And switches between light and dark.
(() => {
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  let theme = localStorage.getItem("theme") ?? "auto";
  root.dataset.theme = theme; // Before anything is painted.

  /** What was served for each node, without what the reader opened since. */
  const served = new WeakMap();
  const source = (node) => node.outerHTML ?? node.data;
  const remember = (part) => part.childNodes.forEach((node) => served.set(node, source(node)));
  const detailsOf = (node) => (node.matches?.("details") ? [node] : [...(node.querySelectorAll?.("details") ?? [])]);
  const summaryOf = (details) => details.querySelector("summary")?.textContent;

  /** The longest common subsequence of two lists: place in the second -> place in the first. */
  function common(a, b) {
    const longest = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
      }
    }
    const places = new Map();
    for (let i = 0, j = 0; i < a.length && j < b.length; ) {
      if (a[i] === b[j]) places.set(j++, i++);
      else if (longest[i + 1][j] >= longest[i][j + 1]) i++;
      else j++;
    }
    return places;
  }

  /** Give a part the nodes of a fresh one, and keep those that are the same. */
  function exchange(part, fresh) {
    remember(fresh);
    const before = [...part.childNodes];
    const after = [...fresh.childNodes];
    const places = common(before.map((node) => served.get(node)), after.map((node) => served.get(node)));
    const kept = new Set([...places.values()].map((place) => before[place]));
    const gone = before.filter((node) => !kept.has(node));
    const open = new Set(gone.flatMap(detailsOf).filter((details) => details.open).map(summaryOf));
    for (const node of gone) node.remove();
    after.forEach((node, place) => {
      if (places.has(place)) return;
      node.classList?.add("changed");
      for (const details of detailsOf(node)) details.open ||= open.has(summaryOf(details));
      part.insertBefore(node, part.childNodes[place] ?? null);
    });
  }

  async function refresh() {
    const answer = await fetch("/", { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-part]")) {
      exchange(part, page.querySelector(`[data-part="${part.dataset.part}"]`));
    }
    root.dataset.version = page.documentElement.dataset.version;
  }

  addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-part]").forEach(remember);

    const button = document.querySelector("[data-theme-switch]");
    const tell = () => {
      const name = { auto: "automatic", light: "light", dark: "dark" }[theme];
      button.textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
      button.title = `Colours: ${name}`;
      button.setAttribute("aria-label", button.title);
    };
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      localStorage.setItem("theme", theme);
      root.dataset.theme = theme;
      tell();
    });
    tell();

    const state = document.querySelector("[data-state]");
    const changes = new EventSource("/changes");
    changes.onopen = () => { state.dataset.state = "live"; };
    changes.onerror = () => { state.dataset.state = "ended"; };
    changes.onmessage = (event) => {
      if (event.data !== root.dataset.version) refresh();
    };
  });
})();
