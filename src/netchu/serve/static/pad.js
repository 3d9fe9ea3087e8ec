// A canvas to write on with mouse, finger or pen.

const PEN = 3.6; // CSS pixels
const INK = "#16203a";

export class Pad {
  /** Strokes are lists of [x, y, pressure] in CSS pixels. */
  constructor(canvas) {
    this.canvas = canvas;
    this.strokes = [];
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => {
        this.pen = null;
      });
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  get empty() {
    return !this.strokes.length;
  }

  begin(event) {
    if (this.pen != null || event.button) return;
    this.pen = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.strokes.push([]);
    this.add(event);
    event.preventDefault();
  }

  go(event) {
    if (event.pointerId !== this.pen) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const each of between.length ? between : [event]) this.add(each);
  }

  add(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const pressure = event.pointerType === "pen" ? event.pressure : 0.5;
    this.strokes.at(-1).push([event.clientX - left, event.clientY - top, pressure]);
    this.redraw();
  }

  undo() {
    this.strokes.pop();
    this.redraw();
  }

  clear() {
    this.strokes = [];
    this.redraw();
  }

  redraw() {
    const scale = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.draw(this.canvas.getContext("2d"), scale);
  }

  draw(context, scale) {
    context.scale(scale, scale);
    context.strokeStyle = context.fillStyle = INK;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.strokes) {
      let [x, y] = stroke[0];
      context.beginPath();
      context.arc(x, y, PEN / 2, 0, 7);
      context.fill();
      for (let at = 1; at < stroke.length; at += 1) {
        const [nowX, nowY] = stroke[at];
        const [beforeX, beforeY, pressure] = stroke[at - 1];
        const [midX, midY] = [(beforeX + nowX) / 2, (beforeY + nowY) / 2];
        context.lineWidth = PEN * (0.6 + 0.8 * pressure);
        context.beginPath();
        context.moveTo(x, y);
        context.quadraticCurveTo(beforeX, beforeY, midX, midY);
        if (at === stroke.length - 1) context.lineTo(nowX, nowY);
        context.stroke();
        [x, y] = [midX, midY];
      }
    }
  }

  /** Return the writing as a PNG, on white with a margin around it. */
  async blob() {
    const xs = this.strokes.flat().map((point) => point[0]);
    const ys = this.strokes.flat().map((point) => point[1]);
    const margin = 24;
    const [left, top] = [Math.min(...xs) - margin, Math.min(...ys) - margin];
    const sheet = document.createElement("canvas");
    const scale = 2;
    sheet.width = scale * (Math.max(...xs) + margin - left);
    sheet.height = scale * (Math.max(...ys) + margin - top);
    const context = sheet.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.translate(-left * scale, -top * scale);
    this.draw(context, scale);
    return new Promise((resolve) => sheet.toBlob(resolve, "image/png"));
  }
}
