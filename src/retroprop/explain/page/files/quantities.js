// Quantities: {letter, layer, neurons, row}; their names as the library writes them, and their numbers now.

const sizes = DATA.sizes, lastLayer = sizes.length;
const LAYERLESS = ["x", "y", "dx"];

/** The quantity of a key as "theta-1-2-1" or "a-2-1". */
const parseKey = key => {
  const [letter, ...numbers] = key.split("-");
  const n = numbers.map(Number);
  return LAYERLESS.includes(letter) ? {letter, layer: null, neurons: n} : {letter, layer: n[0], neurons: n.slice(1)};
};
const keyOf = q => [q.letter, ...(q.layer ? [q.layer] : []), ...q.neurons].join("-");

/** The quantity of a mark "letter|layer|neurons|observation" of a formula, with the neurons of `env` for j and k. */
const parseMark = (mark, env) => {
  const [letter, layer, neurons, row] = mark.split("|");
  const n = neurons ? neurons.split(" ").map(one => env[one] ?? (isNaN(one) ? one : Number(one))) : [];
  return {letter, layer: layer ? Number(layer) : null, neurons: n, row: row && !isNaN(row) ? Number(row) : row || null};
};

/** Whether a quantity of a key exists in this network. */
const exists = q => {
  const whole = [q.layer ?? 1, ...q.neurons].every(Number.isInteger);
  if (!whole || !["theta", "b", "x", "z", "a", "delta"].includes(q.letter)) return false;
  const within = (n, most) => n >= 1 && n <= most;
  if (q.letter === "x") return q.neurons.length === 1 && within(q.neurons[0], sizes[0]);
  const parameter = q.letter === "theta" || q.letter === "b";
  if (!within(q.layer, lastLayer - parameter) || (!parameter && q.layer < 2) || (q.letter === "b" && !DATA.bias)) return false;
  const most = q.letter === "theta" ? [sizes[q.layer], sizes[q.layer - 1]] : [sizes[q.layer - !parameter]];
  return q.neurons.length === most.length && q.neurons.every((n, i) => within(n, most[i]));
};

/** The number of a quantity, undefined where it has none; an observation that is not named is the one shown. */
const numberOf = (q, s = state, n = numbers) => {
  const i = (q.row ?? s.row + 1) - 1, j = q.neurons[0] - 1, k = q.neurons[1] - 1, at = q.layer;
  const parameter = p => (q.letter.endsWith("b") ? p.biases[at - 1]?.[j] : p.thetas[at - 1]?.[j * sizes[at - 1] + k]);
  const ofLayer = (list, index) => list[index]?.[i * sizes[at - 1] + j];
  switch (q.letter) {
    case "theta": case "b": return parameter(s.parameters);
    case "dtheta": case "db": return parameter(n.gradient);
    case "vtheta": case "vb": return parameter(s.slots[0]);
    case "x": return n.x[i * sizes[0] + j];
    case "y": return n.y[i * sizes[lastLayer - 1] + j];
    case "dx": return n.gradient_x[i * sizes[0] + j];
    case "z": return ofLayer(n.z, at - 2);
    case "a": return at === 1 ? n.x[i * sizes[0] + j] : ofLayer(n.a, at - 2);
    case "delta": return ofLayer(n.deltas, at - 2);
    case "da": return ofLayer(n.sent_back, at - 2);
    case "J": return q.row ? undefined : n.cost[0];
    case "m": return n.m;
    case "eta": return s.eta;
  }
};

const isDerivative = q => /^d(theta|b|x|a)$/.test(q.letter);
const bare = q => (isDerivative(q) ? {...q, letter: q.letter.slice(1)} : q);
const symbolOf = q => DATA.symbols[q.letter] ?? q.letter.replace(/^v.+/, "v");
const subscript = q => q.neurons.join(q.neurons.some(n => String(n).length > 1) ? "," : "");

/** The name in plain text: "θ^(2)_21". */
const textName = q => {
  if (isDerivative(q)) return `∂J/∂${textName(bare(q))}`;
  const row = q.row ? `[${q.row}]` : "";
  return symbolOf(q) + (q.layer ? `^(${q.layer})` : "") + (q.neurons.length ? `_${subscript(q)}` : "") + row;
};

/** The name as MathML. */
const mathName = q => {
  if (q.letter === "more") return `<mtext>${t("more", {n: q.neurons[0]})}</mtext>`;
  if (isDerivative(q)) {
    return `<mfrac><mrow><mo>∂</mo><mi>J</mi></mrow><mrow><mo>∂</mo>${mathName(bare(q))}</mrow></mfrac>`;
  }
  const symbol = `<mi>${symbolOf(q)}</mi>`;
  const above = (q.layer ? `<mo>(</mo><mn>${q.layer}</mn><mo>)</mo>` : "") + (q.row ? `<mtext>[${q.row}]</mtext>` : "");
  const below = q.neurons.length ? `<mrow><mn>${subscript(q)}</mn></mrow>` : "";
  const name = above && below ? `<msubsup>${symbol}${below}<mrow>${above}</mrow></msubsup>`
    : above ? `<msup>${symbol}<mrow>${above}</mrow></msup>`
    : below ? `<msub>${symbol}${below}</msub>` : symbol;
  return `<mrow class="${roleOf(q)}">${name}</mrow>`;
};

/** The colour of a quantity: that of the library's explanations. */
const roleOf = q => (DATA.roles.includes(q.letter) ? `role-${q.letter}` : "");

/** A number in so many significant digits, with the minus of formulas. */
const digits = (value, n = 6) => {
  if (value === undefined) return "";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "∞" : "−∞";
  const text = String(Number(value.toPrecision(n)));
  return text.replace(/-/g, "−").replace("e+", "e");
};
const mathNumber = (value, n = 6) => {
  const [, sign, mantissa, exponent] = digits(value, n).match(/^(−?)([^e]*)(?:e(.*))?$/);
  const power = exponent ? `<mo>·</mo><msup><mn>10</mn><mn>${exponent}</mn></msup>` : "";
  return `${sign ? "<mo>−</mo>" : ""}<mn>${mantissa}</mn>${power}`;
};
