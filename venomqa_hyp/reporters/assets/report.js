"use strict";
// Draws the state graph. Texts of the record only ever become text nodes or canvas text.
async function opened(packed) {
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

(async () => {
  const byId = (id) => document.getElementById(id);
  if (!("DecompressionStream" in window)) return;
  const graph = await opened(byId("data").textContent);
  const { states, edges, blocks, paths } = graph;
  const canvas = byId("canvas"), panel = byId("panel"), pen = canvas.getContext("2d");
  const LISTED = 100, RADIUS = 15, roomy = states.length <= 80;
  const COLUMN = roomy ? 150 : 52, ROW = (roomy ? 64 : 56) * stretch(roomy ? 2.3 : 1);

  // A graph that is much wider than it is high gets more room between its rows.
  function stretch(cell) {
    const most = (name) => states.reduce((far, state) => Math.max(far, Math.abs(state[name])), 1);
    return Math.min(2.2, Math.max(1, (0.6 * cell * 2 * most("x")) / most("y")));
  }

  // ---- what is drawn: a state has its number, a block that of the states and its own ----
  const blockOf = new Map();
  blocks.forEach((block, at) => block.states.forEach((state) => blockOf.set(state, at)));
  const unfolded = new Set();
  const leaving = states.map(() => []), entering = states.map(() => []);
  edges.forEach((edge, at) => { leaving[edge.from].push(at); entering[edge.to].push(at); });
  let items = [], lines = [], drawnAs = [];
  const view = { x: 0, y: 0, scale: 1 };
  let selected = null, path = null, found = null, colours = {};

  const isFolded = (at) => blockOf.has(at) && !unfolded.has(blockOf.get(at));
  const nameOf = (item) => item < states.length ? `s${item}` : `${blocks[item - states.length].states.length} states`;

  function arrange() {
    const radiusOf = (size) => Math.max(RADIUS, 0.42 * Math.min(COLUMN, ROW) * Math.floor(Math.sqrt(size)));
    items = [];
    drawnAs = states.map((state, at) => {
      if (isFolded(at)) return states.length + blockOf.get(at);
      items.push({ id: at, x: state.x * COLUMN, y: state.y * ROW, radius: 0, own: RADIUS, label: state.label, broken: state.broken.length > 0, states: [at] });
      return at;
    });
    blocks.forEach((block, at) => {
      if (unfolded.has(at)) return;
      items.push({ id: states.length + at, x: block.x * COLUMN, y: block.y * ROW, radius: 0, own: radiusOf(block.states.length), label: block.label, broken: false, states: block.states, isBlock: true });
    });
    const item = new Map(items.map((one) => [one.id, one]));
    const between = new Map();
    edges.forEach((edge, at) => {
      const from = drawnAs[edge.from], to = drawnAs[edge.to];
      const key = from * (states.length + blocks.length) + to;
      if (!between.has(key)) between.set(key, { from: item.get(from), to: item.get(to), edges: [] });
      between.get(key).edges.push(at);
    });
    lines = [...between.values()].filter((line) => line.from !== line.to || !line.from.isBlock);
    for (const line of lines) {
      line.refused = line.edges.every((at) => edges[at].steps.every((step) => !step[2]));
      line.label = labelOf(line);
      bend(line, between.has(line.to.id * (states.length + blocks.length) + line.from.id));
    }
    byId("folding").hidden = blocks.length === 0;
  }

  function labelOf(line) {
    const actions = new Set();
    for (const at of line.edges) for (const step of edges[at].steps) actions.add(step[0].slice(0, step[0].indexOf("(")));
    const [first, second] = actions;
    return actions.size > 2 ? `${first} +${actions.size - 1}` : second ? `${first}, ${second}` : first;
  }

  // An edge that does not lead to the next row is bent, so that it passes the states between.
  function bend(line, hasReverse) {
    const { from, to } = line, dx = to.x - from.x, dy = to.y - from.y, length = Math.hypot(dx, dy) || 1;
    const isNext = dy > 0 && dy < 2.1 * ROW + from.own + to.own;
    const by = isNext && !hasReverse ? 0 : Math.min(0.22 * length, 90);
    line.loop = from === to;
    line.x = (from.x + to.x) / 2 + (by * -dy) / length;
    line.y = (from.y + to.y) / 2 + (by * dx) / length;
  }

  function pointOn(line, t) {
    const s = 1 - t;
    return [s * s * line.from.x + 2 * s * t * line.x + t * t * line.to.x, s * s * line.from.y + 2 * s * t * line.y + t * t * line.to.y];
  }

  // ---- drawing ----
  let waiting = false;
  function draw() {
    if (!waiting) requestAnimationFrame(() => { waiting = false; paint(); });
    waiting = true;
  }

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["page", "text", "soft", "accent", "bad", "bad-soft", "node", "node-line", "edge", "group", "group-line", "hit"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    draw();
  }

  function paint() {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    resize();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.translate(width / 2, height / 2);
    pen.scale(view.scale, view.scale);
    pen.translate(-view.x, -view.y);
    const left = view.x - width / 2 / view.scale, top = view.y - height / 2 / view.scale;
    const inSight = (x, y, by) => x > left - by && x < left + width / view.scale + by && y > top - by && y < top + height / view.scale + by;
    const steps = onPath();
    paintLines(steps);
    const near = items.filter((item) => inSight(item.x, item.y, item.radius + COLUMN));
    for (const item of near) paintItem(item, steps);
    for (const item of near) if (item.broken) paintItem(item, steps);
    paintLabels(near, lines.filter((line) => inSight(line.x, line.y, COLUMN)), steps);
  }

  // Seen from afar, states stay large enough to be seen, as far as there is room.
  function resize() {
    const least = Math.min(9 / view.scale, 0.36 * Math.min(COLUMN, ROW));
    for (const item of items) item.radius = Math.max(item.own, least, item.broken ? 5 / view.scale : 0);
  }

  // The keys of what a path passes: numbers of states, and "from to" of its edges.
  function onPath() {
    const keys = new Set();
    if (path !== null) paths[path].states.forEach((state, at, all) => {
      keys.add(drawnAs[state]);
      if (at) keys.add(`${drawnAs[all[at - 1]]} ${drawnAs[state]}`);
    });
    return keys;
  }

  const isOnPath = (line, keys) => keys.has(`${line.from.id} ${line.to.id}`);
  const isSelected = (line) => selected && selected.line && selected.line.from.id === line.from.id && selected.line.to.id === line.to.id;
  const touches = (line) => selected && selected.item && (line.from.id === selected.item.id || line.to.id === selected.item.id);
  const isFoundLine = (line) => found !== null && line.edges.some((at) => found.edges.has(at));
  const isFound = (item) => found !== null && item.states.some((state) => found.has(state));

  function paintLines(keys) {
    const kinds = { plain: [], refused: [], near: [], found: [], chosen: [], path: [] };
    for (const line of lines) {
      const kind = isSelected(line) ? "chosen" : isOnPath(line, keys) ? "path" : touches(line) ? "near" : isFoundLine(line) ? "found" : line.refused ? "refused" : "plain";
      kinds[kind].push(line);
    }
    const dimmed = found !== null || path !== null ? 0.3 : lines.length > 1500 ? 0.3 : 1;
    strokeLines(kinds.refused, colours.edge, 1, dimmed, true);
    strokeLines(kinds.plain, colours.edge, 1.3, dimmed, false);
    strokeLines(kinds.found, colours.hit, 2, 1, false);
    strokeLines(kinds.near, colours.text, 1.5, 1, false);
    strokeLines(kinds.path, colours.bad, 3, 1, false);
    strokeLines(kinds.chosen, colours.accent, 3.5, 1, false);
  }

  function strokeLines(some, colour, thickness, alpha, dashed) {
    const px = 1 / view.scale;
    pen.globalAlpha = alpha;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = Math.max(thickness * px * 0.7, Math.min(thickness, thickness * px));
    pen.setLineDash(dashed ? [5, 4] : []);
    pen.beginPath();
    for (const line of some) {
      if (line.loop) {
        const [x, y, radius] = loopOf(line);
        pen.moveTo(x + radius, y);
        pen.arc(x, y, radius, 0, 2 * Math.PI);
      } else {
        pen.moveTo(line.from.x, line.from.y);
        pen.quadraticCurveTo(line.x, line.y, line.to.x, line.to.y);
      }
    }
    pen.stroke();
    pen.setLineDash([]);
    if (view.scale > 0.3) {
      pen.beginPath();
      for (const line of some) if (!line.loop) arrowHead(line, 7 + thickness);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  const loopOf = (line) => [line.from.x + line.from.radius * 0.95, line.from.y - line.from.radius * 0.95, 9];

  function arrowHead(line, size) {
    const { to } = line, dx = to.x - line.x, dy = to.y - line.y, length = Math.hypot(dx, dy) || 1;
    const ux = dx / length, uy = dy / length, x = to.x - ux * (to.radius + 1), y = to.y - uy * (to.radius + 1);
    pen.moveTo(x, y);
    pen.lineTo(x - ux * size - uy * size * 0.45, y - uy * size + ux * size * 0.45);
    pen.lineTo(x - ux * size + uy * size * 0.45, y - uy * size - ux * size * 0.45);
    pen.closePath();
  }

  function paintItem(item, keys) {
    const chosen = selected && selected.item && selected.item.id === item.id;
    const dim = (found !== null && !isFound(item)) || (found === null && path !== null && !keys.has(item.id));
    pen.globalAlpha = dim && !chosen ? 0.35 : 1;
    // What stands behind must not shine through a dimmed state.
    pen.fillStyle = colours.page;
    outline(item, 0);
    pen.fill();
    pen.fillStyle = item.broken ? colours["bad-soft"] : item.isBlock ? colours.group : colours.node;
    pen.fill();
    pen.strokeStyle = item.broken ? colours.bad : item.isBlock ? colours["group-line"] : colours["node-line"];
    pen.lineWidth = item.broken ? 2.5 : 1.3;
    pen.stroke();
    if (item.id === 0) { outline(item, -3.5); pen.lineWidth = 1; pen.stroke(); }
    const ring = chosen ? "accent" : isFound(item) ? "hit" : keys.has(item.id) ? "bad" : null;
    if (ring) { outline(item, 3); pen.strokeStyle = colours[ring]; pen.lineWidth = Math.max(3, 2 / view.scale); pen.stroke(); }
    pen.globalAlpha = 1;
  }

  function outline(item, by) {
    const radius = item.radius + by;
    pen.beginPath();
    if (item.isBlock) pen.roundRect(item.x - radius, item.y - radius, 2 * radius, 2 * radius, 8);
    else pen.arc(item.x, item.y, radius, 0, 2 * Math.PI);
  }

  // Text keeps its size on the screen, and is left out where there is no room for it.
  function paintLabels(near, some, keys) {
    const px = 1 / view.scale;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const taken = [];
    const isImportant = (line) => isSelected(line) || isOnPath(line, keys) || touches(line);
    const ranked = [...some.filter(isImportant), ...some.filter((line) => !isImportant(line))];
    for (const line of ranked) {
      const important = isImportant(line);
      const room = line.loop ? 0 : Math.hypot(line.to.x - line.from.x, line.to.y - line.from.y) / px;
      if (room < 70 || (!important && (lines.length > 160 || found !== null || path !== null))) continue;
      pen.font = `${important ? 600 : 400} ${11 * px}px system-ui, sans-serif`;
      const [x, y] = pointOn(line, 0.5), half = Math.min(170, pen.measureText(line.label).width / px) / 2 + 3;
      if (taken.some((one) => Math.abs(one.x - x) < (one.half + half) * px && Math.abs(one.y - y) < 13 * px)) continue;
      taken.push({ x, y, half });
      write(line.label, x, y, important ? colours.text : colours.soft, 170 * px);
    }
    for (const item of near) {
      const chosen = selected && selected.item && selected.item.id === item.id;
      const size = item.radius / px;
      if (size > 7.5) {
        pen.font = `600 ${Math.min(11, size * 0.85) * px}px system-ui, sans-serif`;
        pen.fillStyle = colours.text;
        const text = item.isBlock ? String(item.states.length) : nameOf(item.id);
        pen.fillText(text, item.x, item.y, 1.8 * item.radius);
      }
      const width = Math.max(2 * item.radius, COLUMN) / px - 8;
      if (!item.label || (width < 90 && !chosen)) continue;
      pen.font = `${10.5 * px}px system-ui, sans-serif`;
      wrapped(item.label, Math.max(width, 90) * px, chosen ? 4 : 2).forEach((text, at) => {
        write(text, item.x, item.y + item.radius + (9 + 12 * at) * px, colours.soft, Infinity);
      });
    }
  }

  function write(text, x, y, colour, most) {
    const shown = shortened(text, most);
    pen.strokeStyle = colours.page;
    pen.lineWidth = 4 / view.scale;
    pen.lineJoin = "round";
    pen.strokeText(shown, x, y);
    pen.fillStyle = colour;
    pen.fillText(shown, x, y);
  }

  function shortened(text, most) {
    if (pen.measureText(text).width <= most) return text;
    let length = text.length;
    while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > most) length -= 1;
    return `${text.slice(0, length)}…`;
  }

  function wrapped(text, width, most) {
    const rows = [];
    let row = "";
    for (const word of text.split(" ")) {
      const longer = row ? `${row} ${word}` : word;
      if (row && pen.measureText(longer).width > width) { rows.push(row); row = word; } else row = longer;
    }
    rows.push(row);
    const kept = rows.slice(0, most).map((one) => shortened(one, width));
    if (rows.length > most) kept[most - 1] = shortened(`${kept[most - 1]} …`, width);
    return kept;
  }

  // ---- moving ----
  function zoom(factor, at) {
    const [x, y] = at || [canvas.clientWidth / 2, canvas.clientHeight / 2];
    const before = inGraph(x, y);
    view.scale = Math.min(4, Math.max(0.004, view.scale * factor));
    const after = inGraph(x, y);
    view.x += before[0] - after[0];
    view.y += before[1] - after[1];
    draw();
  }

  const inGraph = (x, y) => [view.x + (x - canvas.clientWidth / 2) / view.scale, view.y + (y - canvas.clientHeight / 2) / view.scale];

  function fit(some) {
    const shown = some && some.length ? some : items;
    const edge = (pick, sign) => shown.reduce((far, item) => Math.max(far, sign * pick(item) + item.own), -Infinity);
    const right = edge((item) => item.x, 1), left = -edge((item) => item.x, -1);
    const bottom = edge((item) => item.y, 1), top = -edge((item) => item.y, -1);
    const margin = roomy ? 70 : 40;
    view.x = (left + right) / 2;
    view.y = (top + bottom) / 2;
    view.scale = Math.min(1.4, canvas.clientWidth / (right - left + 2 * margin), canvas.clientHeight / (bottom - top + 2 * margin));
    draw();
  }

  function goTo(x, y) {
    view.x = x;
    view.y = y;
    view.scale = Math.max(view.scale, roomy ? 0.9 : 1.2);
    draw();
  }

  // ---- choosing ----
  const itemOf = (state) => items.find((item) => item.id === drawnAs[state]);

  function reveal(state) {
    if (isFolded(state)) { unfolded.add(blockOf.get(state)); arrange(); }
    return itemOf(state);
  }

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

  function hit(x, y) {
    const [gx, gy] = inGraph(x, y), slack = 6 / view.scale;
    const reach = (item) => Math.max(item.radius, slack);
    const item = items.findLast((one) => Math.hypot(one.x - gx, one.y - gy) <= reach(one)
      || (one.isBlock && Math.max(Math.abs(one.x - gx), Math.abs(one.y - gy)) <= reach(one)));
    if (item) return { item };
    let best = null, least = slack;
    for (const line of lines) {
      const distance = distanceTo(line, gx, gy);
      if (distance < least) { least = distance; best = line; }
    }
    return best && { line: best };
  }

  function distanceTo(line, x, y) {
    if (line.loop) {
      const [cx, cy, radius] = loopOf(line);
      return Math.max(0, Math.hypot(cx - x, cy - y) - radius);
    }
    let least = Infinity, [ax, ay] = pointOn(line, 0);
    for (let at = 1; at <= 12; at += 1) {
      const [bx, by] = pointOn(line, at / 12), dx = bx - ax, dy = by - ay;
      const t = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
      least = Math.min(least, Math.hypot(ax + t * dx - x, ay + t * dy - y));
      [ax, ay] = [bx, by];
    }
    return least;
  }

  // ---- the panel ----
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

  // ---- searching ----
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

  // ---- events ----
  const pointers = new Map();
  let moved = 0, spread = 0;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size === 1) moved = 0;
    spread = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId), now = place(event);
    if (!before) { canvas.style.cursor = hit(...now) ? "pointer" : "grab"; return; }
    pointers.set(event.pointerId, now);
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (pointers.size === 2) return pinch();
    if (moved > 4) {
      view.x -= (now[0] - before[0]) / view.scale;
      view.y -= (now[1] - before[1]) / view.scale;
      draw();
    }
  });
  function pinch() {
    const [[ax, ay], [bx, by]] = pointers.values(), now = Math.hypot(ax - bx, ay - by);
    if (spread) zoom(now / spread, [(ax + bx) / 2, (ay + by) / 2]);
    spread = now;
  }
  canvas.addEventListener("pointerup", (event) => {
    if (pointers.size === 1 && moved <= 4) select(hit(...place(event)));
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    // The wheel alone scrolls the page, until the graph was clicked.
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const by = 60 / view.scale;
    const acts = {
      ArrowLeft: () => { view.x -= by; draw(); }, ArrowRight: () => { view.x += by; draw(); },
      ArrowUp: () => { view.y -= by; draw(); }, ArrowDown: () => { view.y += by; draw(); },
      "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => fit(), Escape: () => select(null),
    };
    if (event.ctrlKey || event.metaKey || !acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  byId("in").addEventListener("click", () => zoom(1.25));
  byId("out").addEventListener("click", () => zoom(0.8));
  byId("fit").addEventListener("click", () => fit());
  byId("fold").addEventListener("click", () => { unfolded.clear(); arrange(); select(null); });
  byId("unfold").addEventListener("click", () => { blocks.forEach((_, at) => unfolded.add(at)); arrange(); select(null); });
  byId("search").addEventListener("input", search);
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found) panel.querySelector("li button")?.click();
  });
  byId("path")?.addEventListener("change", (event) => showPath(event.target.value === "" ? null : Number(event.target.value)));
  for (const button of document.querySelectorAll("[data-finding]")) {
    button.hidden = false;
    button.addEventListener("click", () => { byId("graph").scrollIntoView(); showPath(Number(button.dataset.finding)); });
  }
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);

  byId("closed").hidden = true;
  byId("explorer").hidden = false;
  arrange();
  readColours();
  fit();
  select(null);
  let width = canvas.clientWidth;
  new ResizeObserver(() => {
    if (canvas.clientWidth !== width) { width = canvas.clientWidth; fit(); } else draw();
  }).observe(canvas);
})();
