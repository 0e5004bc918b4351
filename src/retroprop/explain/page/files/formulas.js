// Formulas: the library's, with names or numbers put into their marks.

const MARK = /⟨([^⟩]*)⟩/g;
const math = content => `<math>${content}</math>`;

/** A formula with names. */
const inNames = (template, env = {}) => template.replace(MARK, (_, mark) => {
  if (mark.startsWith("#")) return mathNumber(Number(mark.slice(1)));
  return mark.startsWith('"') ? `<mtext> ${t(mark.slice(1))} </mtext>` : mathName(parseMark(mark, env));
});

/** A formula with numbers, null if a quantity in it has none or is hidden. */
const inNumbers = (template, env = {}) => {
  let known = !template.includes("∂");
  const text = template.replace(MARK, (_, mark, at) => {
    if (mark.startsWith('"')) return `<mtext> ${t(mark.slice(1))} </mtext>`;
    const q = mark.startsWith("#") ? null : parseMark(mark, env);
    if (q?.letter === "more") return mathName(q);
    const value = q ? (isHidden(q) ? undefined : numberOf(q)) : Number(mark.slice(1));
    if (value === undefined) { known = false; return ""; }
    const number = mathNumber(value), role = q ? roleOf(q) : "";
    const follows = /<mo>[·+−]<\/mo>$/.test(template.slice(0, at));
    const enclosed = follows && (value < 0 || Object.is(value, -0) || number.includes("<msup>"));
    return `<mrow class="${role}">${enclosed ? `<mo>(</mo>${number}<mo>)</mo>` : number}</mrow>`;
  });
  return known ? text : null;
};

/** The formula of a quantity as the page has it, and the neurons that its letters stand for. */
const formulaOf = q => {
  const all = DATA.formulas[numbers.m], [j, k] = q.neurons;
  const key = `${q.letter} ${q.layer ?? 1}`;
  const template = q.letter === "J" ? all.J : all[`${key} ${j}`] ?? all[key];
  return {template, env: q.letter === "dx" ? {k: j} : {j, k}};
};

/** Parts of a formula that may stand on lines of their own: not within parentheses, a fraction or a power. */
const broken = formula => {
  const count = (text, what) => text.split(what).length - 1, found = [];
  const pairs = [["<mo>(</mo>", "<mo>)</mo>"], ["<mfrac>", "</mfrac>"], ["<mrow", "</mrow>"], ["<msup>", "</msup>"]];
  let open = 0;
  for (const part of formula.split(/(?=<mo>[=+−]<\/mo>)/)) {
    if (open) found[found.length - 1] += part; else found.push(part);
    for (const [begin, end] of pairs) open += count(part, begin) - count(part, end);
  }
  // A sign at the beginning keeps the space of one between two terms.
  return found.map(part => math(part.replace(/^<mo>/, '<mo form="infix">'))).join(" ");
};

/** A line "name = formula = numbers = value"; parts that are not known are left out. */
const line = (q, {value = numberOf(q), name = mathName(q), sign = "=", template, env} = {}) => {
  if (!template) ({template, env} = formulaOf(q));
  const put = template && !isHidden(q) ? inNumbers(template, env) : null;
  const last = isHidden(q) ? "<mo>?</mo>" : mathNumber(value);
  const plain = text => text?.replace(/<\/?mrow[^>]*>/g, "");
  const parts = [template && inNames(template, env), put, plain(put) === last ? null : `<mrow class="${roleOf(q)}">${last}</mrow>`];
  const shown = parts.filter(Boolean).map((part, i) => broken(`<mo>${i ? "=" : sign}</mo>${part}`)).join(" ");
  const data = isHidden(q) ? "" : ` data-line="${textName(q)}" data-value="${value}"`;
  return `<p class="line"${data}>${math(name)} ${shown}</p>`;
};
