// The chosen quantity: its formula, its derivation along every path, and a nudge.

let epsilon = 0.001;

/** The derivative that a quantity has, as a quantity: δ is that of z. */
const derivativeOf = q => ({
  theta: {...q, letter: "dtheta"}, b: {...q, letter: "db"}, x: {...q, letter: "dx"},
  z: {...q, letter: "delta"}, delta: q, a: q.layer < lastLayer ? {...q, letter: "da"} : null,
}[q.letter]);

const drawChosen = () => {
  const q = state.of ? parseKey(state.of) : null;
  $("chosen-none").hidden = Boolean(q);
  $("chosen-body").hidden = !q;
  if (!q) return;
  const [j, k] = q.neurons;
  $("chosen-title").innerHTML = `${math(mathName(q))} <small>${t(`what_${q.letter}`, {layer: q.layer, next: q.layer + 1, j, k})}</small>`;
  $("chosen-lines").innerHTML = chosenLines(q);
  drawDerivation(q);
  drawNudge(q);
};

const chosenLines = q => {
  const own = ["theta", "b", "x"].includes(q.letter) ? "" : line(q);
  const derivative = derivativeOf(q);
  if (!derivative || derivative === q || derivative.letter === "da") return own;
  return own + line(derivative, q.letter === "z" ? {name: `${dWith(q)}<mo>=</mo>${mathName(derivative)}`} : {});
};
const dWith = q => `<mfrac><mrow><mo>∂</mo><mi>J</mi></mrow><mrow><mo>∂</mo>${mathName(q)}</mrow></mfrac>`;

const drawDerivation = q => {
  const all = DATA.derivations[numbers.m > 1 ? "many" : "one"] ?? {}, key = `${q.letter} ${q.layer}`;
  const found = all[`${key} ${q.neurons[0]}`] ?? all[key];
  $("derivation").hidden = !found;
  if (!found) return;
  const env = {j: q.neurons[0], k: q.neurons[1]};
  $("derivation-count").textContent = t(found.paths > 1 ? "paths" : "path", {n: found.paths, name: textName(q)});
  $("derivation-body").innerHTML = found.sections.map(({heading, equations}) =>
    `<h4>${t(heading)}</h4>${equations.map(sides => equation(sides, env)).join("")}`).join("");
};

/** An equation of a derivation: in names, and below it with the numbers of the shown observation. */
const equation = ([left, right], env) => {
  const names = inNames(right, env), put = inNumbers(right.split("<mo>=</mo>").at(-1), env);
  const shown = broken(`<mo>=</mo>${names}`) + (put && put !== names ? ` ${broken(`<mo>=</mo>${put}`)}` : "");
  return `<p class="line">${math(inNames(left, env))} ${shown}</p>`;
};

const drawNudge = q => {
  const derivative = derivativeOf(q), allowed = derivative && !DATA.numbers && !state.exercise;
  $("nudge").hidden = !allowed;
  if (!allowed) return;
  const before = numbers.cost[0], after = costAfter(q, epsilon), ratio = (after - before) / epsilon;
  const partial = numberOf(derivative), of = q.letter === "delta" ? {...q, letter: "z"} : q;
  $("nudge-of").textContent = t("nudge_of", {name: textName(of)});
  if (document.activeElement !== $("epsilon")) $("epsilon").value = String(epsilon);
  const row = (id, name, value) => `<dt>${name}</dt><dd data-nudge="${id}" data-value="${value}">${digits(value, 9)}</dd>`;
  $("nudge-rows").innerHTML = row("before", math("<mi>J</mi>"), before)
    + row("after", t("nudge_after", {name: textName(of)}), after)
    + row("ratio", math("<mfrac><mrow><mi>Δ</mi><mi>J</mi></mrow><mi>ε</mi></mfrac>"), ratio)
    + row("partial", math(derivative.letter === "delta" ? `${dWith(of)}<mo>=</mo>${mathName(derivative)}` : mathName(derivative)), partial);
};
