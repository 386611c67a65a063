// Moves the graph, and answers what is clicked and typed.
function zoom(factor, at) {
  const [x, y] = at || [canvas.clientWidth / 2, canvas.clientHeight / 2];
  const before = inGraph(x, y);
  view.scale = Math.min(4, Math.max(0.004, view.scale * factor));
  const after = inGraph(x, y);
  view.x += before[0] - after[0];
  view.y += before[1] - after[1];
  draw();
}

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
byId("folding").hidden = blocks.length === 0;
arrange();
readColours();
fit();
select(null);
let width = canvas.clientWidth;
new ResizeObserver(() => {
  if (canvas.clientWidth !== width) { width = canvas.clientWidth; fit(); } else draw();
}).observe(canvas);
