// How a row is shown. Everything from outside goes into the page as text, never as HTML.

import { picture } from "./api.js";

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// One for each name, with the key that presses it. Those that are there stay: a click on
// one that goes meanwhile would be lost.
export function buttons(box, names, does, key) {
  const there = [...box.children].map((button) => button.dataset.name);
  if (there.join("\n") === names.join("\n")) return;
  box.replaceChildren(
    ...names.map((name, place) => {
      const words = make("span", { textContent: name });
      const button = make("button", { onclick: () => does(name, place) }, words);
      button.dataset.name = name;
      if (key(place)) button.append(make("kbd", { textContent: key(place) }));
      return button;
    }),
  );
}

export function row(question, size, failed) {
  if (question.text !== undefined) return make("blockquote", { textContent: question.text, dir: "auto" });
  const image = make("img", { alt: question.name, draggable: false, decoding: "sync" });
  if (failed) image.addEventListener("error", () => failed(question));
  image.src = picture(question, size);
  return image;
}

const fetched = new Map();

// Keeps the pictures that come next, decoded, so that they show at once.
export function prefetch(questions, size) {
  const wanted = new Set(questions.map((question) => picture(question, size)));
  for (const address of fetched.keys()) if (!wanted.has(address)) fetched.delete(address);
  for (const question of questions) {
    const address = picture(question, size);
    if (question.text !== undefined || fetched.has(address)) continue;
    const image = new Image();
    image.src = address;
    image.decode().catch(() => {});
    fetched.set(address, image);
  }
}

export function say(words) {
  $("said").textContent = words;
}

let timer;

export function notice(words) {
  const box = $("notice");
  box.textContent = words;
  box.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (box.hidden = true), 6000);
}
