// Exercises: numbers are hidden, the reader types them, and each answer is graded by its own kind of mistake.

// The quantities that are hidden while a kind is asked for: it and all that is computed from it.
const HIDDEN = {
  a: ["z", "a", "J", "delta", "dtheta", "db", "dx", "da"],
  delta: ["delta", "dtheta", "db", "dx", "da"],
  gradient: ["dtheta", "db"],
};
const LETTER = {a: "a", delta: "delta", gradient: "dtheta"};
let answers = {};  // what was typed, by key
let solved = false;

/** The exercise of a text as "delta-2", null if there is none. */
const exerciseOf = text => {
  const [kind, layer, ...more] = text.split("-"), l = Number(layer);
  const within = kind === "gradient" ? l >= 1 && l < lastLayer : l >= 2 && l <= lastLayer;
  return HIDDEN[kind] && !more.length && Number.isInteger(l) && within ? {kind, layer: l} : null;
};
/** The step of the walk in which the numbers of an exercise are computed: all before it is shown. */
const stepOfExercise = text => {
  const {kind, layer} = exerciseOf(text);
  return walk.findIndex(one => one.kind === (kind === "a" ? "forward" : kind) && one.layer === layer);
};
const allExercises = () => [
  ...sizes.slice(1).map((_, l) => `a-${l + 2}`), ...sizes.slice(1).map((_, l) => `delta-${lastLayer - l}`),
  ...sizes.slice(1).map((_, l) => `gradient-${lastLayer - l - 1}`),
];

const isHidden = q => {
  if (!state.exercise || solved) return false;
  const {kind, layer} = exerciseOf(state.exercise), letters = HIDDEN[kind];
  if (!letters.includes(q.letter)) return false;
  // The layers before the one that is asked for are given.
  if (q.letter === "z" || q.letter === "a") return q.layer >= layer;
  if (q.letter === "delta" && kind === "delta") return q.layer <= layer;
  return true;
};

const asked = () => {
  const {kind, layer} = exerciseOf(state.exercise), rows = windowOf(kind === "gradient" ? layer + 1 : layer);
  const columns = kind === "gradient" ? windowOf(layer) : [null];
  return rows.map(j => columns.map(k => ({letter: LETTER[kind], layer, neurons: k ? [j, k] : [j]})));
};

const TOLERANCE = 0.0051;  // three significant digits
const isNear = (typed, value, share = TOLERANCE) => Math.abs(typed - value) <= Math.max(share * Math.abs(value), 1e-12);

/** The key of the verdict on an answer. */
const graded = (q, typed) => {
  const value = numberOf(q), transposed = transposedOf(q), m = numbers.m;
  if (isNear(typed, value)) return "right";
  if (isNear(typed, -value)) return "wrong_sign";
  if (transposed !== undefined && isNear(typed, transposed)) return "transposed";
  if (m > 1 && q.letter !== "a" && isNear(typed, value * m)) return "mean_forgotten";
  if (q.letter === "delta" && q.layer < lastLayer && isNear(typed, numberOf({...q, letter: "da"}))) return "slope_forgotten";
  if (q.letter === "a" && isNear(typed, numberOf({...q, letter: "z"}))) return "activation_forgotten";
  if (transposed !== undefined && isNear(typed, -transposed)) return "transposed_and_sign";
  if (m > 1 && q.letter !== "a" && isNear(typed, -value * m)) return "mean_and_sign";
  return isNear(typed, value, 0.05) ? "rounded" : "wrong";
};

/** The number that follows if the matrix is transposed where it is not, or the other way round; undefined if none. */
const transposedOf = q => {
  const [j, k] = q.neurons, l = q.layer, i = state.row;
  const flip = layer => {
    const n = sizes[layer - 1], theta = state.parameters.thetas[layer - 1];
    return sizes[layer] === n ? theta.map((_, at) => theta[(at % n) * n + Math.floor(at / n)]) : null;
  };
  const row = (array, layer) => array.subarray(i * sizes[layer - 1], (i + 1) * sizes[layer - 1]);
  if (q.letter === "dtheta") return j !== k && k <= sizes[l] && j <= sizes[l - 1] ? numberOf({...q, neurons: [k, j]}) : undefined;
  if (DATA.numbers) return undefined;  // without the functions
  if (q.letter === "a") {
    const theta = flip(l - 1), below = l === 2 ? numbers.x : numbers.a[l - 3];
    return theta ? layerForward[l](row(below, l - 1), theta, state.parameters.biases.slice(l - 2, l - 1))[1][j - 1] : undefined;
  }
  const theta = l < lastLayer ? flip(l) : null;
  return theta ? layerBack[l](row(numbers.deltas[l - 1], l + 1), theta, row(numbers.z[l - 2], l), row(numbers.a[l - 2], l))[j - 1] : undefined;
};

const drawExercise = () => {
  $("exercise-choice").innerHTML = `<option value="">${t("exercise_none")}</option>` + allExercises().map(one => {
    const [kind, layer] = one.split("-");
    return `<option value="${one}" ${state.exercise === one ? "selected" : ""}>${t(`exercise_${kind}`, {layer})}</option>`;
  }).join("");
  $("exercise-body").hidden = !state.exercise;
  document.body.classList.toggle("asking", Boolean(state.exercise));
  if (!state.exercise) { $("exercise-answers").innerHTML = ""; return; }
  const {kind, layer} = exerciseOf(state.exercise);
  $("exercise-said").textContent = t(`exercise_said_${kind}`, {layer, i: state.begin + state.row + 1});
  $("exercise-answers").innerHTML = asked().map(row => `<div class="answers">${row.map(answer).join("")}</div>`).join("");
};

const answer = q => {
  const key = keyOf(q), typed = answers[key] ?? {text: ""}, verdict = typed.verdict;
  const said = verdict ? t(`verdict_${verdict}`, {m: numbers.m}) : "";
  const mark = verdict ? (verdict === "right" ? "✓ " : "✗ ") : "";
  const way = solved ? line(q) : verdict && verdict !== "right" && verdict !== "empty" && verdict !== "no_number" ? hint(q) : "";
  return `<div class="answer ${verdict ?? ""}"><label for="answer-${key}">${math(mathName(q))}</label>
    <input type="text" inputmode="decimal" id="answer-${key}" data-answer="${key}" aria-label="${textName(q)}"
      aria-describedby="verdict-${key}" value="${escaped(typed.text)}">
    <span id="verdict-${key}" class="verdict" data-verdict="${verdict ?? ""}">${mark}${said}</span>${way}</div>`;
};
/** The formula of a quantity, without its numbers. */
const hint = q => {
  const {template, env} = formulaOf(q);
  return `<p class="line hint">${math(mathName(q))} ${math(`<mo>=</mo>${inNames(template, env)}`)}</p>`;
};

const checkAnswers = () => {
  const all = asked().flat();
  for (const q of all) {
    const key = keyOf(q), text = $(`answer-${key}`).value, plain = text.trim().replace("−", "-").replace(",", ".");
    const typed = plain === "" ? NaN : Number(plain);
    answers[key] = {text, verdict: plain === "" ? "empty" : Number.isFinite(typed) ? graded(q, typed) : "no_number"};
  }
  const right = all.filter(q => answers[keyOf(q)].verdict === "right").length;
  render();
  say(t("exercise_result", {right, all: all.length}));
};
const startExercise = one => {
  answers = {};
  solved = false;
  change({...state, exercise: one || null, at: one ? stepOfExercise(one) : state.at, of: null}, {undo: false});
};
const solveExercise = () => {
  solved = true;
  render();
};
