// A printable sheet of exercises with numbers drawn by a seed, and its key.

/** Random numbers of a seed, uniform in [0, 1): the generator "mulberry32". */
const generator = seed => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let n = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  n = (n + Math.imul(n ^ (n >>> 7), 61 | n)) ^ n;
  return ((n ^ (n >>> 14)) >>> 0) / 4294967296;
};

const MOST_SEED = 1e9;
const MOST_SHEET = 6;  // neurons of a layer, and observations
const canSheet = () => !DATA.numbers && Math.max(...sizes) <= MOST_SHEET && Math.min(DATA.batch_size, DATA.m) <= MOST_SHEET;

/** The page's network with parameters in tenths and inputs in halves. */
const sheetState = seed => {
  const random = generator(seed), s = initialState();
  const tenth = () => Math.round(random() * 18 - 9) / 10 || 0.5;
  s.parameters = {thetas: s.parameters.thetas.map(v => v.map(tenth)), biases: s.parameters.biases.map(v => v.map(tenth))};
  s.x = s.x.map(() => Math.round(random() * 8 - 4) / 2 || 1);
  return s;
};

const drawSheet = () => {
  $("sheet-choice").hidden = !canSheet();
  $("sheet-refused").hidden = canSheet();
  const seed = canSheet() ? state.sheet : null;
  $("sheet").hidden = !seed;
  $("sheet").innerHTML = seed ? paper(seed, false) + paper(seed, true) : "";
};

const paper = (seed, isKey) => {
  const s = sheetState(seed), n = compute(s);
  const cell = q => digits(numberOf(q, s, n), isKey ? 5 : 6);
  const blank = q => (isKey ? `<b data-key="${textName(q)}" data-value="${numberOf(q, s, n)}">${cell(q)}</b>` : '<span class="blank"></span>');
  const count = n => Array.from({length: n}, (_, i) => i + 1);
  const matrix = (letter, layer, entry) => `<table class="paper">${count(sizes[layer]).map(j => `<tr>${count(sizes[layer - 1]).map(k =>
    `<td>${entry({letter, layer, neurons: [j, k]})}</td>`).join("")}</tr>`).join("")}</table>`;
  const list = (q, entry) => `<span class="entry">${math(mathName(q))} = ${entry(q)}</span>`;
  const rows = count(n.m).map(row => ({row: n.m > 1 ? row : null}));
  const given = [
    ...rows.map(row => count(sizes[0]).map(k => list({letter: "x", layer: null, neurons: [k], ...row}, cell)).join("")
      + count(sizes.at(-1)).map(k => list({letter: "y", layer: null, neurons: [k], ...row}, cell)).join("")),
    ...count(lastLayer - 1).map(l => `<span class="entry">Θ<sup>(${l})</sup> = ${matrix("theta", l, cell)}</span>`
      + (DATA.bias ? count(sizes[l]).map(j => list({letter: "b", layer: l, neurons: [j]}, cell)).join("") : "")),
  ];
  const ofNeurons = (letter, layer) => rows.map(row =>
    `<p>${count(sizes[layer - 1]).map(j => list({letter, layer, neurons: [j], ...row}, blank)).join("")}</p>`).join("");
  const tasks = [
    [t("task_forward"), count(lastLayer).slice(1).map(l => ofNeurons("z", l) + ofNeurons("a", l)).join("")],
    [t("task_cost", {loss: escaped(DATA.loss)}), `<p>${list({letter: "J", layer: null, neurons: []}, blank)}</p>`],
    [t("task_delta"), count(lastLayer).slice(1).reverse().map(l => ofNeurons("delta", l)).join("")],
    [t("task_gradient"), count(lastLayer - 1).reverse().map(l => `<div class="entry">∂J/∂Θ<sup>(${l})</sup> = ${matrix("dtheta", l, blank)}</div>`
      + (DATA.bias ? `<p>${count(sizes[l]).map(j => list({letter: "db", layer: l, neurons: [j]}, blank)).join("")}</p>` : "")).join("")],
  ];
  const head = `${t(isKey ? "key_title" : "sheet_title", {seed})}: ${sizes.join("-")}, ${DATA.activations.map(escaped).join(", ")}, ${escaped(DATA.loss)}`;
  return `<article class="paper-page ${isKey ? "key" : "questions"}" tabindex="0" aria-label="${t(isKey ? "key_title" : "sheet_title", {seed})}"><h3>${head}</h3>
    ${isKey ? "" : `<p>${t("sheet_name")} <span class="blank long"></span></p>`}
    <p>${t("sheet_given")}</p>${given.map(one => `<div>${one}</div>`).join("")}
    <ol>${tasks.map(([words, content]) => `<li>${words}<div>${content}</div></li>`).join("")}</ol></article>`;
};

const printSheet = which => {
  if (!state.sheet) DO.sheet();
  if (!state.sheet) return;
  document.body.dataset.print = which;
  print();
};
