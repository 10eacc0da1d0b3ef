// The column at the side: labels by class, how far it is, how good it is.

import { $, make, row } from "./view.js";

const count = (number) => number.toLocaleString("en");

export function showPanel(state) {
  const { progress } = state;
  $("title").textContent = state.title;
  document.title = `${state.title} · ${progress.labelled}`;
  $("status").textContent = words(progress);
  const readable = progress.n - progress.unreadable;
  const seen = $("seen");
  seen.value = readable ? progress.embedded / readable : 1;
  seen.classList.toggle("full", progress.embedded >= readable);
  $("total").textContent = `${count(progress.labelled)} of ${count(progress.n)}`;
  const most = Math.max(1, ...Object.values(progress.by_class));
  $("by-class").replaceChildren(
    // In the order of the keys, which names such as "10" would lose as properties.
    ...state.classes.map((name) => {
      const number = progress.by_class[name];
      return make(
        "li",
        {},
        make("span", { textContent: name }),
        make("span", { textContent: count(number) }),
        make("meter", { max: most, value: number, ariaHidden: "true" }),
      );
    }),
  );
}

function words(progress) {
  const parts = [`${count(progress.labelled)} labelled`];
  if (progress.skipped) parts.push(`${count(progress.skipped)} skipped`);
  if (progress.cannot_tell) parts.push(`${count(progress.cannot_tell)} can't be told`);
  if (progress.unreadable) parts.push(`${count(progress.unreadable)} can't be read`);
  if (progress.problem) parts.push(`the model could not be fitted: ${progress.problem}`);
  else if (progress.embedded + progress.unreadable < progress.n)
    parts.push(`the model has seen ${count(progress.embedded)} of ${count(progress.n)}`);
  if (progress.learnt) parts.push(`learnt from ${count(progress.learnt)}`);
  return parts.join(" · ");
}

export function showExported(done) {
  const box = $("exported");
  box.replaceChildren(
    ...done.files.map((file) => make("div", { textContent: file })),
    ...(done.code ? [make("pre", { textContent: done.code })] : []),
  );
}

// How good the model is: `again` opens an answer to be looked at once more.
export function showAdvice(advice, again) {
  const figures = [
    ["Accuracy", advice.accuracy],
    ["Worst tenth", advice.worst],
    ["Worth of asking", advice.worth],
  ].filter(([, words]) => words);
  $("advice").hidden = !advice.learnt;
  $("figures").replaceChildren(
    ...figures.flatMap(([name, words]) => [
      make("dt", { textContent: name }),
      make("dd", { textContent: words }),
    ]),
  );
  $("stop").textContent = advice.reason ?? "";
  const doubts = advice.doubts ?? [];
  $("doubts").hidden = !doubts.length;
  $("suspicious").replaceChildren(
    ...doubts.map((doubt) => {
      const button = make(
        "button",
        { title: `${doubt.name}: ${doubt.suggested}?`, onclick: () => again(doubt) },
        make("div", { className: "shown" }, row(doubt, 320)),
        make("span", { textContent: doubt.label }),
      );
      return make("li", {}, button);
    }),
  );
}
