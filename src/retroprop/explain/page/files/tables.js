// Tables of every number, in which parameters and data can be changed.

/** A cell with a number: an input where it is given, else a button that chooses it. */
const input = (q, value) => `<input type="text" inputmode="decimal" id="in-${keyOf(q)}${q.row ? `-row${q.row}` : ""}"
  data-edit="${keyOf(q)}" data-row="${q.row ?? ""}" data-name="${textName(q)}" data-value="${value}"
  aria-label="${textName(q)}" value="${digits(value, 5)}" ${DATA.numbers || state.exercise ? "readonly" : ""}>`;
const shownNumber = q => {
  if (isHidden(q)) return `<td class="${roleOf(q)}">?</td>`;
  const value = numberOf(q);
  return `<td><button type="button" class="cell ${roleOf(q)}" id="cell-${keyOf(q)}" data-do="choose" data-of="${keyOf(bare(q))}"
    data-name="${textName(q)}" data-value="${value}">${spoken(q)}${digits(value)}</button></td>`;
};

const table = (caption, columns, rows, corner = "") => `<div class="scroll" tabindex="0" role="group" aria-label="${caption.text}">
  <table><caption>${caption.html}</caption>
  <thead><tr><td>${corner}</td>${columns.map(one => `<th scope="col">${one}</th>`).join("")}</tr></thead>
  <tbody>${rows.map(([head, cells]) => `<tr><th scope="row">${head}</th>${cells}</tr>`).join("")}</tbody></table></div>`;
const caption = (letter, layer, words) => {
  const upper = {theta: "Θ", dtheta: "∂J/∂Θ"}[letter];
  return {text: `${upper}^(${layer})`, html: `${upper}<sup>(${layer})</sup> <small>${words}</small>`};
};

const parameterTables = layer => {
  const to = windowOf(layer + 1), from = windowOf(layer), columns = [...from.map(k => t("from", {k})), ...(DATA.bias ? ["<i>b</i>"] : [])];
  const rows = cell => to.map(j => [t("to", {j}), [
    ...from.map(k => cell("theta", [j, k])), ...(DATA.bias ? [cell("b", [j])] : []),
  ].join("")]);
  const given = (letter, neurons) => {
    const q = {letter, layer, neurons};
    return `<td>${input(q, numberOf(q))}</td>`;
  };
  const derivative = (letter, neurons) => shownNumber({letter: `d${letter}`, layer, neurons});
  return table(caption("theta", layer, t("given")), columns, rows(given))
    + table(caption("dtheta", layer, t("computed")), columns, rows(derivative));
};

const neuronTable = () => {
  const layers = sizes.map((_, l) => l + 1).slice(1);
  const rows = layers.flatMap(layer => windowOf(layer).map(j => [
    t("neuron", {layer, j}), ["z", "a", "delta"].map(letter => shownNumber({letter, layer, neurons: [j]})).join(""),
  ]));
  const words = t("neurons");
  return table({text: words, html: words}, ["<i>z</i>", "<i>a</i>", "<i>δ</i>"], rows);
};

/** The name of row i of the batch, with the mark that it has in formulas. */
const observationName = i => t("observation", {i: state.begin + i + 1}) + (numbers.m > 1 ? ` = [${i + 1}]` : "");

const dataTables = () => ["x", "y"].map(letter => {
  const layer = letter === "x" ? 1 : lastLayer, some = windowOf(layer), words = t(letter === "x" ? "inputs" : "targets");
  const rows = Array.from({length: Math.min(numbers.m, 10)}, (_, i) => [
    observationName(i),
    some.map(j => {
      const q = {letter, layer: null, neurons: [j], row: numbers.m > 1 ? i + 1 : null};
      return `<td>${input(q, numberOf(q))}</td>`;
    }).join(""),
  ]);
  return table({text: words, html: words}, some.map(j => `<i>${letter}</i><sub>${j}</sub>`), rows);
}).join("");

const drawTables = () => {
  $("tables").innerHTML = dataTables() + sizes.slice(1).map((_, l) => parameterTables(l + 1)).join("") + neuronTable();
  $("row").innerHTML = Array.from({length: numbers.m}, (_, i) =>
    `<option value="${i}" ${i === state.row ? "selected" : ""}>${observationName(i)}</option>`).join("");
  $("row-choice").hidden = numbers.m === 1;
};

/** Take what was typed; a number that is none changes nothing, and the line says so. */
const edit = element => {
  const text = element.value.trim().replace("−", "-").replace(",", "."), value = text === "" ? NaN : Number(text);
  const q = {...parseKey(element.dataset.edit), row: Number(element.dataset.row) || null};
  if (!Number.isFinite(value)) {
    say(t("no_number", {typed: element.value, name: textName(q)}));
    element.value = digits(numberOf(q), 5);
  } else if (value !== Number(digits(numberOf(q), 5).replace("−", "-"))) {
    change(withNumber(q, value, state));
  }
};
