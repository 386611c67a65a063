// What stands beside the graph. Texts of the record only ever become text nodes.
const LISTED = 100;

function select(what) {
  selected = what;
  panel.scrollTop = 0;
  if (what && what.item) what.item.isBlock ? tellBlock(what.item) : tellState(what.item.id);
  else if (what) tellLine(what.line);
  else if (found !== null) tellFound();
  else if (path !== null) tellPath();
  else tellNothing();
  if (what && (found !== null || path !== null)) addButton(found !== null ? "Back to what was found" : "Back to the path", () => select(null));
  draw();
}

function openState(state) {
  const item = reveal(state);
  goTo(item.x, item.y);
  select({ item });
}

function openEdge(at) {
  reveal(edges[at].from);
  reveal(edges[at].to);
  const line = lines.find((one) => one.edges.includes(at));
  goTo(...(line.loop ? [line.from.x, line.from.y] : pointOn(line, 0.5)));
  select({ line });
}

function add(tag, text, kind) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  panel.append(element);
  return element;
}

function addButton(text, act) {
  const button = add("button", text);
  button.type = "button";
  button.addEventListener("click", act);
  panel.prepend(button);
}

// A list of buttons; of many the first are shown.
function addList(entries, describe) {
  const list = add("ul", "");
  for (const entry of entries.slice(0, LISTED)) {
    const [text, act, kind] = describe(entry);
    const row = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    if (kind) button.className = kind;
    button.addEventListener("click", act);
    row.append(button);
    list.append(row);
  }
  if (entries.length > LISTED) add("small", `and ${(entries.length - LISTED).toLocaleString("en")} more`);
}

const stateRow = (state) => [`s${state}${states[state].label ? `  ${states[state].label}` : ""}`, () => openState(state), states[state].broken.length ? "broken" : ""];
const stepRow = ([at, step]) => [`${edges[at].from === edges[at].to ? `s${edges[at].from}` : `s${edges[at].from} → s${edges[at].to}`}  ${step[0]}: ${step[1]}`, () => openEdge(at), step[2] ? "" : "refused"];
const stepsOf = (some) => some.flatMap((at) => edges[at].steps.map((step) => [at, step]));

function tellNothing() {
  panel.replaceChildren();
  const steps = edges.reduce((sum, edge) => sum + edge.steps.length, 0);
  add("h4", `${states.length.toLocaleString("en")} states, ${steps.toLocaleString("en")} transitions`);
  add("p", "s0 is the initial state. Each row of the graph is one step further from it, a wide one goes on below. A dashed arrow was only ever refused; a ring at a state is a step that stays there.");
  if (blocks.length) add("p", "A square is a group of states of one depth that look alike, or that each look like few others. Click it to see them, or to unfold it.");
  const broken = states.flatMap((state, at) => state.broken.length ? [at] : []);
  if (broken.length) {
    add("h4", "Violated in");
    addList(broken, (at) => [`s${at}  ${states[at].broken.join(", ")}`, () => openState(at), "broken"]);
  }
}

function tellState(at) {
  const state = states[at];
  panel.replaceChildren();
  add("h4", `State s${at}${at ? "" : ", the initial one"}`);
  add("small", `depth ${state.depth}`);
  for (const rule of state.broken) add("p", `Violated here: ${rule}`, "broken");
  const systems = new Map();
  for (const [system, text] of state.parts) systems.set(system, [...(systems.get(system) || []), text]);
  for (const [system, texts] of systems) {
    add("h4", system);
    for (const text of texts) add("div", text, "shows");
  }
  tellSteps("Steps from here", leaving[at].filter((edge) => edges[edge].to !== at));
  tellSteps("Steps that stay here", leaving[at].filter((edge) => edges[edge].to === at));
  tellSteps("Steps that lead here", entering[at].filter((edge) => edges[edge].from !== at));
  if (blockOf.has(at)) addButton("Fold its group", () => { unfolded.delete(blockOf.get(at)); arrange(); select({ item: itemOf(at) }); });
}

function tellSteps(title, some) {
  if (!some.length) return;
  add("h4", title);
  addList(stepsOf(some), stepRow);
}

function tellBlock(item) {
  panel.replaceChildren();
  const { alike } = blocks[item.id - states.length];
  add("h4", `${item.states.length.toLocaleString("en")} ${alike ? "states that look alike" : "states of rare shapes"}`);
  add("small", `depth ${states[item.states[0]].depth}`);
  if (item.label) add("p", item.label, "shows");
  addButton("Unfold", () => { unfolded.add(item.id - states.length); arrange(); select(null); });
  add("h4", "States");
  addList(item.states, stateRow);
}

function tellLine(line) {
  panel.replaceChildren();
  add("h4", line.loop ? `Steps that stay in s${line.from.id}` : `${nameOf(line.from.id)} → ${nameOf(line.to.id)}`);
  const single = line.edges.length === 1;
  const steps = stepsOf(line.edges);
  if (!single) return addList(steps, stepRow);
  for (const [, [call, outcome, succeeded]] of steps.slice(0, LISTED)) {
    add("div", call, "step");
    add("div", outcome, succeeded ? "shows" : "shows refused");
  }
  if (steps.length > LISTED) add("small", `and ${(steps.length - LISTED).toLocaleString("en")} more`);
  add("h4", "States");
  addList([...new Set([edges[line.edges[0]].from, edges[line.edges[0]].to])], stateRow);
}

function tellPath() {
  panel.replaceChildren();
  const { states: way, steps } = paths[path];
  const choice = byId("path");
  add("h4", `Path of ${choice.options[choice.selectedIndex].textContent}`);
  if (!steps.length) add("p", "It is broken in the initial state.");
  addList(steps.map((call, at) => [call, at + 1]), ([call, at]) => [
    `${at}. ${call}${at < way.length ? ` → s${way[at]}` : ""}`,
    () => openState(way[Math.min(at, way.length - 1)]),
  ]);
  const left = steps.length - (way.length - 1);
  if (left) add("p", `The last ${left === 1 ? "step is" : `${left} steps are`} not in the graph: what raised, or was executed without a record, leads to no state.`);
}

function tellFound() {
  const states_ = [...found.keys()].filter((state) => found.get(state)), steps = found.steps;
  panel.replaceChildren();
  if (!states_.length && !steps.length) add("p", "Nothing found.");
  if (states_.length) { add("h4", `States found: ${states_.length.toLocaleString("en")}`); addList(states_, stateRow); }
  if (steps.length) { add("h4", `Steps found: ${steps.length.toLocaleString("en")}`); addList(steps, stepRow); }
}

const words = states.map((state) => state.parts.map((part) => part.join(" ")).concat(state.broken).join("\n").toLowerCase());

function search() {
  const wanted = byId("search").value.trim().toLowerCase();
  found = null;
  if (wanted) {
    found = new Map();
    found.steps = edges.flatMap((edge, at) => edge.steps.filter((step) => `${step[0]} ${step[1]}`.toLowerCase().includes(wanted)).map((step) => [at, step]));
    found.edges = new Set(found.steps.map(([at]) => at));
    states.forEach((state, at) => { if (`s${at}` === wanted || words[at].includes(wanted)) found.set(at, true); });
    for (const [at] of found.steps) for (const end of [edges[at].from, edges[at].to]) if (!found.has(end)) found.set(end, false);
  }
  select(null);
}

function showPath(at) {
  path = at;
  if (byId("path")) byId("path").value = at === null ? "" : String(at);
  byId("search").value = "";
  found = null;
  select(null);
  fit(at === null ? null : paths[at].states.map(itemOf));
}
