// The state of the page, and the numbers that follow from it: computed by the functions that the library recorded.

/** The state that the page was made with. */
const initialState = () => ({
  parameters: {thetas: DATA.thetas, biases: DATA.biases},
  slots: DATA.slots ? [zeros()] : [],
  eta: DATA.eta, x: DATA.x, y: DATA.y,
  updates: 0, begin: 0,  // steps made, and the first observation of the next one
  at: 0, row: 0, of: null, exercise: null, sheet: null,
});
const zeros = () => ({
  thetas: DATA.thetas.map(v => new Float64Array(v.length)), biases: DATA.biases.map(v => new Float64Array(v.length)),
});

let state = initialState();
let numbers = null;  // of the batch of the next step
let undone = [];  // the states before the changes, the last one last
const MOST_UNDONE = 2e6;  // numbers kept

/** The rows of the batch that begins at an observation. */
const batchOf = s => {
  const end = Math.min(s.begin + DATA.batch_size, DATA.m);
  const rows = (values, width) => values.subarray(s.begin * width, end * width);
  return {m: end - s.begin, x: rows(s.x, sizes[0]), y: rows(s.y, sizes[lastLayer - 1])};
};

/** Every number of the next step from a state. */
const compute = s => {
  const {m, x, y} = batchOf(s);
  const found = DATA.numbers ?? stepOf[m](s.parameters, s.slots, s.eta, x, y);
  return {...found, m, x, y};
};

/** J after a number was added to one quantity. */
const costAfter = (q, epsilon) => {
  const {m, x, y} = batchOf(state);
  const ofZ = sizes.slice(1).map(n => new Float64Array(m * n));
  const ofA = sizes.slice(1, -1).map(n => new Float64Array(m * n));
  let parameters = state.parameters, moved = x;
  const place = state.row * sizes[(q.layer ?? 1) - 1] + q.neurons[0] - 1;
  if (q.letter === "z" || q.letter === "delta") ofZ[q.layer - 2][place] = epsilon;
  else if (q.letter === "a") ofA[q.layer - 2][place] = epsilon;
  else if (q.letter === "x") (moved = x.slice())[place] += epsilon;
  else parameters = withNumber(q, numberOf(q) + epsilon, state).parameters;
  return nudgedCost[m](parameters, ofZ, ofA, moved, y)[0];
};

/** A state with another number for θ, b, x or y; the arrays of the old one stay as they are. */
const withNumber = (q, value, s) => {
  const put = (array, place) => Object.assign(array.slice(), {[place]: value});
  const swap = (list, index, place) => list.map((v, l) => (l === index ? put(v, place) : v));
  const [j, k] = q.neurons.map(n => n - 1), {thetas, biases} = s.parameters;
  if (q.letter === "theta") {
    return {...s, parameters: {biases, thetas: swap(thetas, q.layer - 1, j * sizes[q.layer - 1] + k)}};
  }
  if (q.letter === "b") return {...s, parameters: {thetas, biases: swap(biases, q.layer - 1, j)}};
  const i = s.begin + (q.row ?? s.row + 1) - 1;
  if (q.letter === "x") return {...s, x: put(s.x, i * sizes[0] + j)};
  return {...s, y: put(s.y, i * sizes[lastLayer - 1] + j)};
};

/** The state after one step: the numbers that the recorded step gives back. */
const stepped = s => {
  const found = compute(s), end = s.begin + found.m;
  return {
    ...s, parameters: found.parameters, slots: found.slots, updates: s.updates + 1,
    begin: end < DATA.m ? end : 0, row: 0,
  };
};

/** The state at the end of the epoch. */
const epochDone = s => {
  do s = stepped(s); while (s.begin);
  return s;
};

/** Take a new state; what was computed can be undone, a mere look cannot. */
const change = (next, {undo = true} = {}) => {
  if (undo) {
    undone.push(state);
    const kept = Math.max(Math.floor(MOST_UNDONE / (DATA.n_parameters * (1 + DATA.slots))), 2);
    undone = undone.slice(-kept);
  }
  state = next;
  numbers = compute(state);
  render();
  writeAddress();
};
const undoChange = () => {
  const before = undone.pop();
  if (before) change({...before, at: state.at, of: state.of, exercise: state.exercise, sheet: state.sheet}, {undo: false});
};
