// The state in the address: what differs from the page as it was made, exact to the last bit.

const joined = parts => {
  const all = new Float64Array(parts.reduce((n, part) => n + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
};
const leavesOf = tree => [...tree.thetas, ...tree.biases];
const treeOf = flat => {
  let at = 0;
  const take = like => like.map(v => flat.slice(at, (at += v.length)));
  return {thetas: take(DATA.thetas), biases: take(DATA.biases)};
};

/** The address of a state, after the #. */
const addressOf = s => {
  const own = initialState(), fields = new URLSearchParams({net: DATA.id});
  const put = (name, value, usual) => value !== usual && fields.set(name, value);
  const putArrays = (name, parts, usual) => put(name, toBase64(joined(parts)), toBase64(joined(usual)));
  put("lang", language, DATA.language);
  put("at", s.at, s.exercise ? stepOfExercise(s.exercise) : 0);
  put("row", s.row + 1, 1);
  put("of", s.of, null);
  put("exercise", s.exercise, null);
  put("sheet", s.sheet, null);
  put("eta", s.eta, own.eta);
  put("steps", s.updates, 0);
  put("begin", s.begin, 0);
  putArrays("p", leavesOf(s.parameters), leavesOf(own.parameters));
  if (DATA.slots) putArrays("s", leavesOf(s.slots[0]), leavesOf(own.slots[0]));
  putArrays("x", [s.x], [own.x]);
  putArrays("y", [s.y], [own.y]);
  return fields.toString();
};

/** The state of an address; null, with a line for the reader, if it is another network's or none. */
const stateOf = address => {
  const fields = new URLSearchParams(address.replace(/^#/, "")), s = initialState();
  if (!fields.has("net")) return s;
  if (fields.get("net") !== DATA.id) return refuse("other_network");
  const whole = (name, low, high) => {
    if (!fields.has(name)) return low;
    const value = Number(fields.get(name));
    if (!Number.isInteger(value) || value < low || value > high) throw new Error(name);
    return value;
  };
  const number = text => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(value)) throw new Error("eta");
    return value;
  };
  try {
    const array = (name, n, read) => {
      if (!fields.has(name)) return;
      const found = fromBase64(fields.get(name));
      if (found.length !== n) throw new Error(name);
      read(found);
    };
    array("p", DATA.n_parameters, flat => (s.parameters = treeOf(flat)));
    if (DATA.slots) array("s", DATA.n_parameters, flat => (s.slots = [treeOf(flat)]));
    array("x", s.x.length, flat => (s.x = flat));
    array("y", s.y.length, flat => (s.y = flat));
    if (fields.has("eta")) s.eta = number(fields.get("eta"));
    s.updates = whole("steps", 0, Number.MAX_SAFE_INTEGER);
    s.begin = whole("begin", 0, DATA.m - 1);
    if (s.begin % DATA.batch_size) throw new Error("begin");
    s.row = whole("row", 1, batchOf(s).m) - 1;
    s.of = fields.get("of");
    s.exercise = fields.get("exercise");
    if (fields.has("sheet")) s.sheet = whole("sheet", 1, MOST_SEED);
    if ((s.of && !exists(parseKey(s.of))) || (s.exercise && !exerciseOf(s.exercise))) throw new Error("of");
    s.at = s.exercise && !fields.has("at") ? stepOfExercise(s.exercise) : whole("at", 0, walk.length - 1);
    if (DATA.numbers && (["p", "s", "x", "y", "eta", "steps", "begin"].some(name => fields.has(name)))) throw new Error("p");
  } catch {
    return refuse("broken_address");
  }
  if (fields.has("lang") && WORDS[fields.get("lang")]) language = fields.get("lang");
  return s;
};

let complaint = null;  // the key of the line about the address
const refuse = key => {
  complaint = key;
  return null;
};

let pending = 0, known = location.hash;  // the address that was last read or written
const flushAddress = () => {
  clearTimeout(pending);
  if (location.hash !== known) return;  // the reader has gone to another one
  // A page within a notebook has no address of its own.
  try { history.replaceState(null, "", `#${addressOf(state)}`); } catch { /* srcdoc */ }
  known = location.hash;
};
/** Write the state into the address, at most a few times a second. */
const writeAddress = () => {
  clearTimeout(pending);
  pending = setTimeout(flushAddress, DATA.n_parameters > 2000 ? 400 : 60);
};

/** Read the state of the address, when the page opens and when the reader goes to another one. */
const readAddress = () => {
  complaint = null;
  known = location.hash;
  const found = stateOf(known);
  state = found ?? initialState();
  undone = [];
  numbers = compute(state);
  render();
  // A link to an exercise or a sheet leads there; only this window is scrolled, not that of a text around it.
  const part = state.exercise ? $("exercise") : state.sheet ? $("sheet") : null;
  if (part) scrollTo({top: part.getBoundingClientRect().top + scrollY});
};
