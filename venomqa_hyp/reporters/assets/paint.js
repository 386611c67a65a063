// Draws on the canvas.
const pen = canvas.getContext("2d"), colours = {};
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
