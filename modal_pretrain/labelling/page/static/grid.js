// Many at a time: choose tiles by click, shift-click, drag or keys.

import { make, row } from "./view.js";

export class Grid {
  constructor(box, failed) {
    this.box = box;
    this.failed = failed;
    this.tiles = [];
    this.last = 0; // where a row of tiles begins that Shift ends
    this.drag = null;
    this.finger = null; // where it came down
    box.addEventListener("pointerdown", (event) => this.down(event));
    box.addEventListener("pointermove", (event) => this.move(event));
    box.addEventListener("pointerup", (event) => this.up(event));
    addEventListener("pointerup", () => (this.drag = null));
    box.addEventListener("focusin", (event) => {
      const place = this.tiles.indexOf(event.target);
      if (place >= 0) this.roam(place);
    });
  }

  show(questions) {
    const known = new Map(this.tiles.map((tile) => [tile.question.row, tile]));
    const focused = this.tiles.indexOf(document.activeElement);
    const before = this.tiles;
    this.tiles = questions.map((question) => {
      const tile = known.get(question.row);
      return tile && tile.question.version === question.version ? tile : this.tile(question);
    });
    // To put the same ones there anew would scroll to the one with the focus.
    const same = (tile, place) => tile === before[place];
    if (before.length === this.tiles.length && this.tiles.every(same)) return;
    this.box.replaceChildren(...this.tiles);
    this.roam(Math.min(Math.max(focused, 0), this.tiles.length - 1), focused >= 0);
  }

  tile(question) {
    const tile = make("div", { className: "tile", tabIndex: -1 }, row(question, 320, this.failed));
    tile.question = question;
    tile.setAttribute("role", "option");
    tile.setAttribute("aria-label", question.text?.slice(0, 200) ?? question.name);
    tile.setAttribute("aria-selected", "false");
    return tile;
  }

  get chosen() {
    return this.tiles.filter((tile) => chosen(tile)).map((tile) => tile.question);
  }

  choose(from, to, on) {
    const [low, high] = from < to ? [from, to] : [to, from];
    for (const tile of this.tiles.slice(low, high + 1)) {
      tile.setAttribute("aria-selected", String(on));
    }
  }

  // What is answered is not chosen when it comes again, also where it was answered alone.
  release(rows) {
    for (const tile of this.tiles) {
      if (rows.has(tile.question.row)) tile.setAttribute("aria-selected", "false");
    }
  }

  all(on) {
    this.choose(0, this.tiles.length - 1, on);
  }

  toggle(place) {
    const tile = this.tiles[place];
    if (!tile) return;
    this.choose(place, place, !chosen(tile));
    this.roam(place, true);
    this.last = place;
  }

  // Which tile Tab comes to.
  roam(place, focus = false) {
    this.tiles.forEach((tile, other) => (tile.tabIndex = other === place ? 0 : -1));
    if (focus) this.tiles[place]?.focus({ preventScroll: false });
  }

  get place() {
    return Math.max(0, this.tiles.findIndex((tile) => tile.tabIndex === 0));
  }

  arrow(key) {
    const columns = getComputedStyle(this.box).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    const place = this.place + (this.tiles.includes(document.activeElement) ? step : 0);
    if (place >= 0 && place < this.tiles.length) this.roam(place, true);
  }

  down(event) {
    const place = this.tiles.indexOf(event.target.closest(".tile"));
    if (place < 0 || event.button) return;
    if (event.pointerType === "touch") { // perhaps to scroll
      this.finger = { x: event.clientX, y: event.clientY };
      return;
    }
    event.preventDefault();
    if (event.shiftKey) {
      this.roam(place, true);
      this.choose(this.last, place, true);
      return;
    }
    this.toggle(place);
    this.drag = { on: chosen(this.tiles[place]), from: place };
  }

  // A finger that has scrolled is cancelled, or lifted elsewhere where nothing could.
  up(event) {
    const place = this.tiles.indexOf(event.target.closest(".tile"));
    if (place < 0 || event.pointerType !== "touch" || !this.finger) return;
    const { x, y } = this.finger;
    if (Math.hypot(event.clientX - x, event.clientY - y) < 12) this.toggle(place);
  }

  move(event) {
    if (!event.buttons) this.drag = null; // lifted where nobody said so, as under a menu
    if (!this.drag) return;
    const under = document.elementFromPoint(event.clientX, event.clientY)?.closest(".tile");
    const place = this.tiles.indexOf(under);
    if (place >= 0) this.choose(this.drag.from, place, this.drag.on);
  }
}

function chosen(tile) {
  return tile.getAttribute("aria-selected") === "true";
}
