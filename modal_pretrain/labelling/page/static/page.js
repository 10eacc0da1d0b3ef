// The page: shows what is asked, sends what is answered, and is never behind: the next
// picture is shown at once, and the server's word on what follows comes after it.

import { get, post } from "./api.js";
import { Grid } from "./grid.js";
import { showAdvice, showExported, showPanel } from "./panel.js";
import { $, buttons, make, notice, prefetch, row, say } from "./view.js";

const ONE = 8;
const MANY = 24;
let state = null;
let queue = []; // questions, the one that is shown first
let looked = 0; // which of the queue is shown
let many = false;
let tag = "";
const sent = new Set(); // rows whose answers are on their way
let coming = 0; // what is taken back, opened again, or a new tag, and is not here yet
let told = 0; // grows when something is told and when it has arrived
const grid = new Grid($("grid"), unreadable);
const show = { guess: false, why: false };

const wanted = () => (many ? MANY : ONE);
const current = () => queue[looked];
const asked = () => ({ n: wanted(), shown: queue.map((question) => question.row).join() });

// What the server says ----------------------------------------------------------------

function take(found, first = []) {
  if (!state && found.tags.length) $("tagging").open = true;
  state = found;
  // What was taken back, of which there may be many, is known by its tag.
  const stays = (question, place) => many || place <= looked || question.tag !== undefined;
  const keep = queue.filter(stays).map((question) => ({
    ...question,
    version: found.versions[question.row] ?? question.version, // its file may have changed
  }));
  const known = new Set();
  const next = [...first, ...keep, ...found.questions].filter((question) => {
    if (sent.has(question.row) || known.has(question.row)) return false;
    known.add(question.row);
    return true;
  });
  next.length = Math.min(next.length, Math.max(wanted(), first.length + keep.length));
  setQueue(next);
  if (first.length) looked = 0;
  render();
}

// The question that is looked at stays so where others before it go.
function setQueue(next) {
  const row = current()?.row;
  queue = next;
  const place = queue.findIndex((question) => question.row === row);
  looked = Math.max(0, place < 0 ? Math.min(looked, queue.length - 1) : place);
}

async function refresh() {
  const before = told;
  try {
    const found = await get("state", asked());
    // Else it may be from before an answer, and ask for that row again.
    if (told === before) take(found);
    else if (!sent.size) await refresh();
  } catch (error) {
    notice(error.message);
  }
}

// `apart`: what changes no question, so that its reply may be older than another.
async function tell(name, said, apart = false) {
  const rows = said.rows ?? [];
  for (const number of rows) sent.add(number);
  if (!apart) told += 1;
  const before = told;
  let found = null;
  try {
    found = await post(name, { ...said, ...asked() }, apart);
  } catch (error) {
    notice(error.message);
  }
  const late = apart && told !== before;
  if (!apart) told += 1;
  for (const number of rows) sent.delete(number);
  if (!found) {
    await refresh();
    return null;
  }
  const back = found.undone ?? [];
  for (const question of back) {
    sent.delete(question.row);
    if (question.row === shownRow) shownRow = explained = null; // it has another tag
  }
  if (many && back.some((question) => question.tag)) setMany(false); // tiles have none
  if (!late) take(found, back);
  if (found.notice) notice(found.notice);
  return found;
}

// What the person says ----------------------------------------------------------------

function about() {
  if (!many) return current() ? [current()] : [];
  return grid.chosen;
}

function answer(name, said, words) {
  const questions = about();
  if (!questions.length) {
    if (many && queue.length) notice("Choose some first: click them, or press Space.");
    return;
  }
  // It is meant for what comes, and not for what is shown until then.
  if (coming) return notice("One moment: that one is on its way. Then answer again.");
  const rows = questions.map((question) => question.row);
  const gone = new Set(rows);
  grid.release(gone);
  setQueue(queue.filter((question) => !gone.has(question.row)));
  say(`${words}${rows.length > 1 ? `, ${rows.length} at once` : ""}.`);
  tell(name, { ...said, rows });
  tag = "";
  render();
}

function label(place) {
  const name = state?.classes[place];
  if (name === undefined) return;
  const button = $("classes").children[place];
  button?.classList.add("hit");
  setTimeout(() => button?.classList.remove("hit"), 160);
  answer("answer", { label: name, tag }, name);
}

const skip = () => answer("skip", {}, "Skipped");
const cannotTell = () => answer("cannot-tell", {}, "Can't tell");

async function bring(name, said) {
  coming += 1;
  const found = await tell(name, said);
  coming -= 1;
  return found;
}

async function undo() {
  const found = await bring("undo", {});
  if (!found) return;
  if (found.undone.length) say(`Taken back: ${found.undone.length}.`);
  else notice("There is nothing to take back.");
}

async function again(question) {
  if (many) setMany(false);
  // On a phone the answers to look at again are far below.
  const found = await bring("again", { row: question.row });
  if (found) $("single").scrollIntoView({ block: "nearest" });
}

function unreadable(question) {
  setQueue(queue.filter((other) => other.row !== question.row));
  notice(`${question.name} can't be read. It is left out.`);
  render(); // what is answered is what is shown
  refresh();
}

function setTag(name) {
  tag = tag === name ? "" : name;
  renderTags();
  say(tag ? `Tag: ${tag}` : "No tag");
}

function setMany(on) {
  if (on && tag === current()?.tag) tag = ""; // it was that one's own
  many = on;
  // Tiles show no tags, and an answer would drop them: what has one keeps its label.
  if (on) queue = queue.filter((question) => !question.tag);
  looked = 0;
  $("one").setAttribute("aria-pressed", String(!on));
  $("many").setAttribute("aria-pressed", String(on));
  render();
  refresh();
}

function toggle(what, button) {
  show[what] = !show[what];
  button.setAttribute("aria-pressed", String(show[what]));
  render();
}

// Advice takes seconds: after some labels more, or when the person pauses.
let advised = { model: 0, at: 0, busy: false };

async function advise() {
  // What is corrected, or measures, changes what is said, not how much was learnt.
  const { model } = state?.progress ?? {};
  const waited = Date.now() - advised.at > 15000;
  if (!model || advised.busy || model === advised.model) return;
  if (model - advised.model < 5 && !waited) return;
  advised.busy = true;
  try {
    showAdvice(await get("advice"), again);
  } catch {
    // The next one comes.
  }
  advised = { model, at: Date.now(), busy: false };
}

// What is seen ------------------------------------------------------------------------

let shownRow = null;
let shownVersion; // of its picture
let explained = null; // what the words below the picture are about

function render() {
  if (!state) return;
  showPanel(state);
  renderClasses();
  renderTags();
  const over = queue.length === 0;
  $("single").hidden = many || over;
  $("grid").hidden = !many || over;
  $("why").hidden = many || over;
  $("done").hidden = !over;
  if (many) grid.show(queue); // also none: a tile that comes again is not chosen
  if (over) {
    const waiting = sent.size > 0;
    $("done").textContent = waiting ? "One moment…" : "Nothing is left to ask. Well done.";
    $("near").hidden = $("guess").hidden = true;
    shownRow = explained = null;
  } else if (many) {
    $("near").hidden = $("guess").hidden = true;
    shownRow = explained = null;
    renderGuesses();
  } else renderSingle();
}

function renderSingle() {
  const question = current();
  if (question.row !== shownRow || question.version !== shownVersion) {
    $("shown").replaceChildren(row(question, 1280, unreadable));
    shownVersion = question.version;
  }
  if (question.row !== shownRow) {
    shownRow = question.row;
    tag = question.tag ?? ""; // what is looked at again keeps it; another has its own
    renderTags();
    $("name").textContent = question.text === undefined ? question.name : "";
    $("why").textContent = "";
    $("near").hidden = true;
    $("guess").hidden = true;
  }
  prefetch(queue.slice(looked, looked + 4), 1280);
  explain(question);
  if (show.guess) guess(question);
  else $("guess").hidden = true;
}

async function explain(question) {
  const about = [question.row, show.why, state.progress.model].join();
  if (about === explained) return;
  explained = about;
  const why = await get("why", { row: question.row }).catch(() => null);
  if (!why || about !== explained) return; // it is about another row, or older
  $("why").textContent = why.words;
  const box = $("near");
  box.hidden = !show.why || !why.near.length;
  if (box.hidden) return;
  box.replaceChildren(
    ...why.near.map((near) =>
      make(
        "figure",
        {},
        make("div", { className: "shown" }, row(near, 320)),
        make("figcaption", { textContent: `labelled ${near.label}` }),
      ),
    ),
  );
}

async function guess(question) {
  const found = await get("guess", { row: question.row }).catch(() => null);
  if (!found || question.row !== shownRow || !show.guess) return;
  $("guess").hidden = false;
  $("guess").textContent = inWords(found) || "No guess: there is no model yet, or this one measures it.";
}

// Of the present model: tiles may stay for many answers.
function renderGuesses() {
  const { model, embedded } = state.progress;
  const from = [model, embedded].join();
  for (const tile of grid.tiles) {
    let box = tile.querySelector(".guess");
    if (!show.guess) box?.remove();
    else if (box?.dataset.from !== from) {
      if (!box) tile.append((box = make("span", { className: "guess" })));
      box.dataset.from = from;
      get("guess", { row: tile.question.row }).then(
        (found) => box.dataset.from === from && (box.textContent = inWords(found)),
        () => box.remove(),
      );
    }
  }
}

function inWords(found) {
  return found.label === null ? "" : `${found.label}, ${Math.round(100 * found.probability)} %`;
}

function renderClasses() {
  const key = (place) => (place < 10 ? `${(place + 1) % 10}` : "");
  buttons($("classes"), state.classes, (name, place) => label(place), key);
}

function renderTags() {
  const box = $("tags");
  buttons(box, state.tags, setTag, (place) => (place < 9 ? `⇧${place + 1}` : ""));
  for (const button of box.children)
    button.setAttribute("aria-pressed", String(button.dataset.name === tag));
}

// Keys and buttons --------------------------------------------------------------------

function step(by) {
  const place = looked + by;
  if (place < 0 || place >= queue.length) return;
  looked = place;
  render();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !state) return;
  const target = event.target;
  if (target.matches("input")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  // A key that is held answers once, not for all that come while it is.
  if (event.repeat && (event.key.length === 1 || event.key === "Enter")) {
    event.preventDefault();
    return;
  }
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  // Keys of a keypad are arrows and others without NumLock, in Windows also with Shift.
  const typed = event.code.startsWith("Digit") || event.key === digit;
  if (event.key === " " || event.key === "Enter") {
    if (target.matches("button, summary")) return; // it is pressed
    if (many) grid.toggle(grid.place);
    else if (event.key === " ") toggle("guess", $("peek"));
  } else if (event.shiftKey && digit) {
    const name = state.tags[digit - 1];
    if (name !== undefined) setTag(name);
  } else if (digit && typed) label((Number(digit) + 9) % 10);
  else if (event.key.startsWith("Arrow")) {
    if (many) grid.arrow(event.key);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else return;
  } else {
    let key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // Where a layout has no Latin letters, they are where they are on others.
    if (/^[^\p{Script=Latin}\x00-\x7f]$/u.test(key)) key = /^Key(.)$/.exec(event.code)?.[1].toLowerCase();
    const does = {
      s: skip,
      c: cannotTell,
      u: undo,
      m: () => setMany(!many),
      g: () => toggle("guess", $("peek")),
      w: () => toggle("why", $("alike")),
      t: () => {
        $("tagging").open = true;
        $("new-tag").querySelector("input").focus();
      },
      a: () => many && grid.all(true),
      Escape: () => many && grid.all(false),
      "?": () => document.querySelector("aside details").toggleAttribute("open"),
    }[key];
    if (!does) return;
    does();
  }
  event.preventDefault();
}

function adds(form, name) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const input = form.querySelector("input");
    const word = input.value.trim();
    if (!word) return input.blur();
    input.value = ""; // the next one may be typed already
    // A tag is for what is shown, and so leaves the field, before which no answer is taken.
    // Classes come one after the other, and their letters would be keys of the page.
    if (name === "tag") input.blur();
    const found = await (name === "tag" ? bring : tell)(name, { name: word });
    if (!found) input.value ||= word;
    // As it is spelt there; chosen already where another reply had brought it.
    else if (name === "tag" && tag !== found.tags.at(-1)) setTag(found.tags.at(-1));
  });
}

$("skip").onclick = skip;
$("cannot").onclick = cannotTell;
$("undo").onclick = undo;
$("peek").onclick = () => toggle("guess", $("peek"));
$("alike").onclick = () => toggle("why", $("alike"));
$("one").onclick = () => setMany(false);
$("many").onclick = () => setMany(true);
$("export").onclick = async () => {
  $("exported").textContent = "Writing…";
  const done = await tell("export", {}, true);
  if (done) showExported(done);
  else $("exported").textContent = "";
};
adds($("new-class"), "class");
adds($("new-tag"), "tag");
addEventListener("keydown", pressed);
// The second click of a double click, or of a worn switch, would answer the next picture,
// which nobody has looked at.
let clicked = -Infinity;
const answers = "#classes button, #skip, #cannot";
const once = (event) => {
  const button = event.target.closest(answers);
  if (!button) return;
  if (event.detail < 2 || event.timeStamp - clicked > 350) {
    clicked = event.timeStamp;
    return;
  }
  event.stopImmediatePropagation();
  button.blur();
  notice("A double click is one answer.");
};
addEventListener("click", once, true);
// Keys after a click mean what the page says; Space would press that button once more.
addEventListener("click", (event) => {
  if (event.detail) event.target.closest("button, summary")?.blur();
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || sent.size || refresh().then(advise), 2000);
refresh();
