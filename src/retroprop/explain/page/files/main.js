// The page as a whole: words, drawing, and what the controls do.

const $ = id => document.getElementById(id);
const escaped = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

let language = DATA.language;
/** Words in the reader's language, with what stands in braces put in */
const t = (key, values = {}) => (WORDS[language][key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const say = text => { $("say").textContent = text; };

const drawWords = () => {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  document.title = t("title", {sizes: sizes.join("-")});
  $("title").textContent = document.title;
  $("about").textContent = t("about", {
    f: DATA.activations.join(", "), loss: DATA.loss, optimizer: DATA.optimizer, n: DATA.n_parameters, m: DATA.m,
  });
  for (const button of document.querySelectorAll("[data-lang]")) {
    button.setAttribute("aria-pressed", button.dataset.lang === language);
  }
};

const drawHead = () => {
  const hidden = isHidden({letter: "J"});
  $("cost").innerHTML = hidden ? "?" : digits(numbers.cost[0]);
  $("cost").toggleAttribute("data-value", !hidden);
  if (!hidden) $("cost").dataset.value = numbers.cost[0];
  $("steps").textContent = t("steps_made", {n: state.updates, b: state.begin + 1, e: state.begin + numbers.m, m: DATA.m});
  const line = complaint ? t(complaint) : DATA.refused ? t("cannot_lower", DATA.refused) : "";
  $("alert").textContent = line;
  $("alert").hidden = !line;
  if (document.activeElement !== $("eta")) $("eta").value = String(state.eta);
  $("undo").setAttribute("aria-disabled", !undone.length);
  for (const id of ["step", "epoch", "undo", "reset", "eta", "sheet-make"]) $(id).disabled = Boolean(DATA.numbers);
  $("epoch").hidden = DATA.batch_size >= DATA.m;
};

/** Draw everything from the state; the focus stays where it was. */
const render = () => {
  const focused = document.activeElement?.id;
  drawWords();
  drawHead();
  $("picture").innerHTML = drawPicture(drawnAt);
  drawWalk();
  drawChosen();
  drawTables();
  drawExercise();
  drawSheet();
  if (focused && document.activeElement?.id !== focused) $(focused)?.focus({preventScroll: true});
};

const DO = {
  first: () => goTo(0),
  back: () => goTo(state.at - 1),
  on: () => goTo(state.at + 1),
  last: () => goTo(walk.length - 1),
  choose: element => change({...state, of: state.of === element.dataset.of ? null : element.dataset.of}, {undo: false}),
  turn: element => turn(Number(element.dataset.layer), Number(element.dataset.by)),
  step: () => change(stepped(state)),
  epoch: () => change(epochDone(state)),
  undo: undoChange,
  reset: () => change({...initialState(), at: state.at, of: state.of}),
  link: async () => {
    flushAddress();
    try { await navigator.clipboard.writeText(location.href); say(t("link_copied")); } catch { say(t("link_shown")); }
  },
  language: element => { language = element.dataset.lang; render(); writeAddress(); },
  smaller: () => { epsilon /= 10; render(); },
  larger: () => { epsilon *= 10; render(); },
  check: checkAnswers,
  solve: solveExercise,
  sheet: () => {
    const seed = Number($("seed").value);
    if (!Number.isInteger(seed) || seed < 1 || seed > MOST_SEED) return say(t("no_seed"));
    change({...state, sheet: seed}, {undo: false});
  },
  print: element => printSheet(element.dataset.which),
};

document.addEventListener("click", event => {
  const element = event.target.closest("[data-do]");
  if (!element || element.disabled || element.getAttribute("aria-disabled") === "true") return;
  say("");
  DO[element.dataset.do](element);
});
document.addEventListener("change", event => {
  const element = event.target;
  // The focus moves on first, and is where the reader went when the page is drawn again.
  if (element.dataset.edit) setTimeout(() => { say(""); edit(element); });
  if (element.id === "eta" || element.id === "epsilon") setTimeout(() => { say(""); editNumber(element); });
  if (element.id === "row") change({...state, row: Number(element.value)}, {undo: false});
  if (element.id === "exercise-choice") startExercise(element.value);
});
document.addEventListener("keydown", event => {
  if (event.key === "Enter" && event.target.dataset.answer) checkAnswers();
});

/** Take a learning rate or an ε. */
const editNumber = element => {
  const value = element.value.trim() === "" ? NaN : Number(element.value.trim().replace(",", "."));
  const isEta = element.id === "eta";
  if (!Number.isFinite(value) || (isEta ? value < 0 : value === 0)) {
    say(t("no_number", {typed: element.value, name: isEta ? "η" : "ε"}));
    element.value = String(isEta ? state.eta : epsilon);
  } else if (isEta) {
    if (value !== state.eta) change({...state, eta: value});
  } else { epsilon = value; render(); }
};

let drawnAt = 0;  // the width of the picture; to ask for it at every step would lay out the page
new ResizeObserver(([entry]) => {
  const width = entry.contentRect.width;
  if (Math.abs(width - drawnAt) <= 1) return;
  drawnAt = width;
  $("picture").innerHTML = drawPicture(width);
}).observe($("picture"));
addEventListener("hashchange", readAddress);
addEventListener("pagehide", flushAddress);
$("page").hidden = false;
drawnAt = $("picture").clientWidth;
readAddress();
