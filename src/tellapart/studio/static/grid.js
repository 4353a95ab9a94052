// Photos as tiles, of which only those in and near the window exist: 10,000 photos scroll like 100. The keys of a list
// move in it; all other keys are its owner's.
// @ts-check
import { cursor, selection } from "./store.js";
import { _ } from "./translation.js";
import { html } from "./html.js";
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";

/** @typedef {import("./store.js").Photo} Photo */

const GAP = 8;
const TILE = 124;
const LEAST_COLUMNS = 3;
// Tiles that exist at once, at most.
const MOST_TILES = 300;

/**
 * Which rows exist.
 * @param {number} width of the grid, in pixels
 * @param {number} height of its window
 * @param {number} top how far it is scrolled
 * @param {number} num photos
 */
export function layout(width, height, top, num) {
  const usual = Math.max(LEAST_COLUMNS, Math.floor((width + GAP) / (TILE + GAP)));
  const sized = (/** @type {number} */ columns) => {
    const side = Math.max(24, Math.floor((width - GAP * (columns - 1)) / columns));
    return { columns, side, step: side + GAP, seen: Math.ceil(height / (side + GAP)) + 1 };
  };
  // A very large window gets larger tiles.
  let chosen = sized(usual);
  while (chosen.columns > 1 && chosen.columns * chosen.seen > MOST_TILES) chosen = sized(chosen.columns - 1);
  const { columns, side, step, seen } = chosen;
  const rows = Math.ceil(num / columns);
  const spare = Math.max(0, Math.min(seen, Math.floor((MOST_TILES / columns - seen) / 2)));
  const begin = Math.max(0, Math.min(Math.floor(top / step) - spare, rows - seen));
  const end = Math.min(rows, begin + seen + 2 * spare);
  return { columns, side, step, rows, first: begin * columns, last: Math.min(num, end * columns) };
}

/**
 * @param {{photos: Photo[], label: string, hint?: (photo: Photo) => {text: string, color: number} | null, onOpen: (photo: Photo) => void, onKey: (event: KeyboardEvent) => void}} properties
 */
export function Grid({ photos, label, hint, onOpen, onKey }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const anchor = useRef(0);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(0);
  const { columns, side, step, rows, first, last } = layout(size.width, size.height, top, photos.length);

  useLayoutEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    const watch = new ResizeObserver(() => {
      const style = getComputedStyle(element);
      const sides = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
      setSize({ width: element.clientWidth - sides, height: element.clientHeight });
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    const at = Math.floor(cursor.value / columns) * step;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + step > element.scrollTop + size.height) element.scrollTop = at + step - size.height + GAP;
  }, [cursor.value, columns, step]);

  /** @param {number} to @param {boolean} isRange */
  const move = (to, isRange) => {
    const place = Math.max(0, Math.min(to, photos.length - 1));
    if (isRange) {
      const ends = [anchor.current, place].sort((one, other) => one - other);
      selection.value = new Set(photos.slice(ends[0], ends[1] + 1).map((photo) => photo.id));
    } else {
      anchor.current = place;
      selection.value = new Set();
    }
    cursor.value = place;
  };

  /** @param {string} id */
  const toggle = (id) => {
    const ids = new Set(selection.value);
    if (!ids.delete(id)) ids.add(id);
    selection.value = ids;
  };

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const page = Math.max(1, Math.floor(size.height / step)) * columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page };
    const by = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (by) move(cursor.value + by, event.shiftKey);
    else if (event.key === "Home") move(0, event.shiftKey);
    else if (event.key === "End") move(photos.length - 1, event.shiftKey);
    else if (event.key === " " && photos.length) toggle(photos[cursor.value].id);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) selection.value = new Set(photos.map((one) => one.id));
    else if (event.key === "Escape" && selection.value.size) selection.value = new Set();
    else return onKey(event);
    event.preventDefault();
  };

  /** @param {MouseEvent} event @param {number} place */
  const onClick = (event, place) => {
    if (event.ctrlKey || event.metaKey) {
      anchor.current = cursor.value = place;
      toggle(photos[place].id);
    } else move(place, event.shiftKey);
  };

  const tiles = [];
  for (let place = first; place < last; place++) {
    const photo = photos[place];
    tiles.push(html`<${Tile} key=${photo.id} photo=${photo} place=${place} num=${photos.length} side=${side}
      left=${(place % columns) * step} top=${Math.floor(place / columns) * step} isCurrent=${place === cursor.value}
      isSelected=${selection.value.has(photo.id)} hint=${hint} onClick=${onClick} onOpen=${onOpen} />`);
  }
  const current = photos[cursor.value];
  return html`<div class="grid" ref=${box} role="listbox" aria-multiselectable="true" aria-label=${label} tabindex="0"
    aria-activedescendant=${current && cursor.value >= first && cursor.value < last ? `photo-${current.id}` : undefined}
    onKeyDown=${onKeyDown} onScroll=${() => setTop(Math.floor((box.current?.scrollTop ?? 0) / step) * step)}>
    <div class="sheet" role="presentation" style=${{ height: `${Math.max(0, rows * step - GAP)}px` }}>${tiles}</div>
  </div>`;
}

/** @param {any} properties */
function Tile({ photo, place, num, side, left, top, isCurrent, isSelected, hint, onClick, onOpen }) {
  const shown = photo.problem ?? photo.name;
  const proposed = hint?.(photo);
  return html`<div id=${`photo-${photo.id}`} role="option" aria-selected=${isSelected ? "true" : "false"} aria-label=${proposed ? `${proposed.text}, ${shown}` : shown}
    aria-setsize=${num} aria-posinset=${place + 1} title=${shown} onClick=${(/** @type {MouseEvent} */ event) => onClick(event, place)}
    onDblClick=${() => onOpen(photo)} class=${`tile${isCurrent ? " current" : ""}`}
    style=${{ width: `${side}px`, height: `${side}px`, transform: `translate(${left}px, ${top}px)` }}>
    ${photo.digest && !photo.problem
      ? html`<img src=${`/thumb/${photo.digest}.webp`} alt="" draggable=${false} decoding="async" />`
      : html`<span class="no-picture" aria-hidden="true">${photo.problem ? _("Not readable") : ""}</span>`}
    ${proposed && html`<span class=${`hint color-${proposed.color}`}>${proposed.text}</span>`}
  </div>`;
}
