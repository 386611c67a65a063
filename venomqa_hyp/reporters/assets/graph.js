// The graph as it is drawn: a state has its number, a block that of the states and its own.
const byId = (id) => document.getElementById(id);
const { states, edges, blocks, paths } = await opened(byId("data").textContent);
const canvas = byId("canvas"), panel = byId("panel");
const RADIUS = 15, roomy = states.length <= 80;
const COLUMN = roomy ? 150 : 52, ROW = (roomy ? 64 : 56) * stretch(roomy ? 2.3 : 1);
// What is shown of it: a selected item or line, the number of a path, what was searched for.
const view = { x: 0, y: 0, scale: 1 };
let selected = null, path = null, found = null;

async function opened(packed) {
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

// A graph that is much wider than it is high gets more room between its rows.
function stretch(cell) {
  const most = (name) => states.reduce((far, state) => Math.max(far, Math.abs(state[name])), 1);
  return Math.min(2.2, Math.max(1, (0.6 * cell * 2 * most("x")) / most("y")));
}

const blockOf = new Map();
blocks.forEach((block, at) => block.states.forEach((state) => blockOf.set(state, at)));
const unfolded = new Set();
const leaving = states.map(() => []), entering = states.map(() => []);
edges.forEach((edge, at) => { leaving[edge.from].push(at); entering[edge.to].push(at); });
let items = [], lines = [], drawnAs = [];

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

const inGraph = (x, y) => [view.x + (x - canvas.clientWidth / 2) / view.scale, view.y + (y - canvas.clientHeight / 2) / view.scale];

const itemOf = (state) => items.find((item) => item.id === drawnAs[state]);

function reveal(state) {
  if (isFolded(state)) { unfolded.add(blockOf.get(state)); arrange(); }
  return itemOf(state);
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
