// The steps of one backpropagation, forward and back, layer by layer: each with its formulas and numbers.

const walk = [
  {kind: "start"},
  ...sizes.slice(1).map((_, l) => ({kind: "forward", layer: l + 2})),
  {kind: "cost"},
  ...sizes.slice(1).flatMap((_, l) => [
    {kind: "delta", layer: lastLayer - l}, {kind: "gradient", layer: lastLayer - l - 1},
  ]),
  {kind: "update"},
];
const STEP_OF = {z: "forward", a: "forward", J: "cost", delta: "delta", dtheta: "gradient", db: "gradient", dx: "update"};

/** Whether a quantity is computed at the step that is shown, or before. */
const isReached = q => {
  const kind = STEP_OF[q.letter];
  if (!kind || (q.letter === "a" && q.layer === 1)) return true;
  return state.at >= walk.findIndex(one => one.kind === kind && (one.layer ?? q.layer) === q.layer);
};

const MOST_LINES = 12;
const cut = lines => {
  const left = lines.length - MOST_LINES;
  const shown = lines.slice(0, MOST_LINES).map(one => one());
  return shown.join("") + (left > 0 ? `<p>${t("more_lines", {n: left})}</p>` : "");
};
const ofWeights = (layer, make) => windowOf(layer + 1).flatMap(j => [
  ...windowOf(layer).map(k => () => make("theta", layer, [j, k])),
  ...(DATA.bias ? [() => make("b", layer, [j])] : []),
]);

const LINES = {
  start: () => "",
  forward: layer => cut(windowOf(layer).flatMap(j => ["z", "a"].map(letter => () => line({letter, layer, neurons: [j]})))),
  cost: () => costLines(),
  delta: layer => cut(windowOf(layer).map(j => () => line({letter: "delta", layer, neurons: [j]}))),
  gradient: layer => cut(ofWeights(layer, (letter, l, neurons) => line({letter: `d${letter}`, layer: l, neurons}))),
  update: () => cut(sizes.slice(1).flatMap((_, l) => ofWeights(l + 1, (...which) => updateLine(...which)))),
};

const costLines = () => {
  const J = {letter: "J", layer: null, neurons: []};
  if (numbers.m === 1) return line(J);
  const {template} = formulaOf(J), one = {...J, row: state.row + 1};
  const put = template && inNumbers(template);
  const ofOne = template
    ? `<p class="line">${math(mathName(one))} ${[inNames(template), put].filter(Boolean).map(x => broken(`<mo>=</mo>${x}`)).join(" ")}</p>` : "";
  return ofOne + line(J, {template: DATA.formulas[numbers.m].mean});
};

const updateLine = (letter, layer, neurons) => {
  const q = {letter, layer, neurons}, template = DATA.formulas[numbers.m][`new ${letter} ${layer}`];
  const value = numberOf(q, {...state, parameters: numbers.parameters});
  const hidden = isHidden({letter: `d${letter}`, layer, neurons});
  if (hidden) return `<p class="line">${math(mathName(q))} ${math(`<mo>←</mo>${inNames(template, {j: neurons[0], k: neurons[1]})}`)}</p>`;
  return line(q, {value, sign: "←", template, env: {j: neurons[0], k: neurons[1]}});
};

const drawWalk = () => {
  const {kind, layer} = walk[state.at];
  $("walk-title").textContent = t(`step_${kind}`, {layer, next: layer + 1});
  $("walk-place").textContent = t("step_place", {n: state.at, all: walk.length - 1});
  $("walk-said").textContent = t(`said_${kind}`, {layer, next: layer + 1, f: DATA.activations[layer - 2] ?? "", loss: DATA.loss});
  $("walk-lines").innerHTML = LINES[kind](layer);
  for (const [id, end] of [["first", 0], ["back", 0], ["on", walk.length - 1], ["last", walk.length - 1]]) {
    $(`walk-${id}`).setAttribute("aria-disabled", state.at === end);
  }
};
const goTo = at => change({...state, at: Math.min(Math.max(at, 0), walk.length - 1)}, {undo: false});
