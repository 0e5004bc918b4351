// The picture: a column for each layer, a box for each neuron, a line for each weight.

const BOX = 80, ROW = 24, PITCH = 94, MOST = 8, LABEL = 46;  // pixels, and the neurons of a layer that are shown
const HEAD = Math.max(...sizes) > MOST ? 76 : 48;  // with the buttons for other neurons
const view = {};  // the first neuron that is shown of a larger layer

const windowOf = layer => {
  const n = sizes[layer - 1], begin = Math.min(view[layer] ?? 0, Math.max(n - MOST, 0));
  return Array.from({length: Math.min(n, MOST)}, (_, i) => begin + i + 1);
};
const turn = (layer, by) => {
  view[layer] = Math.min(Math.max((view[layer] ?? 0) + by * MOST, 0), sizes[layer - 1] - MOST);
  render();
};

/** The whole name of a quantity for those who hear the page. */
const spoken = q => `<span class="spoken">${textName(q)} = </span>`;

/** A button that chooses a quantity: its name and, where it is computed and not hidden, its number. */
const quantityButton = (q, {name = true} = {}) => {
  const key = keyOf(q), value = isReached(q) && !isHidden(q) ? numberOf(q) : undefined;
  const shown = value === undefined ? (isHidden(q) && isReached(q) ? "?" : "·") : digits(value, 3);
  const pressed = state.of === key;
  const symbol = name ? `<i aria-hidden="true">${symbolOf(q)}</i> ` : "";
  return `<button type="button" class="quantity ${roleOf(q)}" id="${key}" data-do="choose" data-of="${key}"
    aria-pressed="${pressed}">${symbol}${spoken(q)}${shown}${value === undefined ? `<span class="spoken">${t("not_yet")}</span>` : ""}</button>`;
};

const drawPicture = width => {
  const shown = sizes.map((_, l) => windowOf(l + 1));
  const rows = Math.max(...shown.map(some => some.length));
  const gap = Math.max((width - lastLayer * BOX) / (lastLayer - 1), 36);
  const left = l => l * (BOX + Math.min(gap, 220));
  const top = (l, i) => HEAD + (i + (rows - shown[l].length) / 2) * PITCH;
  const middle = (l, i) => top(l, i) + (l ? 1.5 : 0.5) * ROW + (l ? 0 : ROW);
  const lines = [], boxes = [];
  shown.forEach((some, l) => {
    boxes.push(layerHead(l + 1, left(l)));
    some.forEach((neuron, i) => boxes.push(neuronBox(l + 1, neuron, left(l), l ? top(l, i) : top(l, i) + ROW)));
    if (l) some.forEach((to, i) => shown[l - 1].forEach((from, k) => {
      const q = {letter: "theta", layer: l, neurons: [to, from]};
      const ends = [left(l - 1) + BOX, middle(l - 1, k), left(l), middle(l, i)];
      lines.push(edge(q, ends));
      if (some.length * shown[l - 1].length <= 9) boxes.push(edgeLabel(q, ends, i, some.length));
    }));
  });
  const wide = left(lastLayer - 1) + BOX, high = HEAD + rows * PITCH;
  const svg = `<svg width="${wide}" height="${high}" aria-hidden="true">${lines.join("")}</svg>`;
  return `<div class="network" style="width:${wide}px;height:${high}px">${svg}${boxes.join("")}</div>`;
};

const layerHead = (layer, x) => {
  const n = sizes[layer - 1], some = windowOf(layer);
  const f = layer === 1 ? t("input") : DATA.activations[layer - 2];
  const pager = n <= MOST ? "" : `<span class="pager">${some[0]}–${some.at(-1)}/${n}<br>
    <button type="button" id="back-${layer}" data-do="turn" data-layer="${layer}" data-by="-1" aria-label="${t("earlier", {layer})}">‹</button>
    <button type="button" id="on-${layer}" data-do="turn" data-layer="${layer}" data-by="1" aria-label="${t("later", {layer})}">›</button></span>`;
  return `<div class="layer" style="left:${x}px;width:${BOX}px"><b>${t("layer", {layer})}</b><br>${pager || escaped(f)}</div>`;
};

const neuronBox = (layer, neuron, x, y) => {
  const letters = layer === 1 ? ["x"] : ["z", "a", "delta"];
  const cells = letters.map(letter => quantityButton({letter, layer: layer === 1 ? null : layer, neurons: [neuron]}));
  const active = walk[state.at].layer === layer && ["forward", "delta"].includes(walk[state.at].kind);
  return `<div class="neuron${active ? " active" : ""}" style="left:${x}px;top:${y}px;width:${BOX}px">${cells.join("")}</div>`;
};

const edge = (q, [x1, y1, x2, y2]) => {
  const value = numberOf(q), active = walk[state.at].kind === "gradient" && walk[state.at].layer === q.layer;
  const sign = value < 0 ? "negative" : "positive", chosen = state.of === keyOf(q) ? " chosen" : "";
  const thick = 0.6 + 3.4 * Math.min(Math.abs(value), 2) / 2;
  return `<line class="${sign}${chosen}${active ? " active" : ""}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke-width="${thick}"/>`;
};

/** The number of a weight beside its line, nearer to the neuron that it goes to the further down that is. */
const edgeLabel = (q, [x1, y1, x2, y2], i, n) => {
  const room = x2 - x1;
  if (room < LABEL * (n > 2 ? 2.2 : 1.1)) return "";
  const share = n > 2 ? 0.26 + (0.5 * (i % 3)) / 2 : 0.36;
  const x = x1 + share * room - LABEL / 2, y = y1 + share * (y2 - y1) - ROW / 2;
  return `<div class="label" style="left:${x}px;top:${y}px;width:${LABEL}px">${quantityButton(q, {name: false})}</div>`;
};
