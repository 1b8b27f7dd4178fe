"use strict";
// Lines over a shared x, drawn with uPlot in the page's own colors.
const charts = (() => {
  const formats = {
    share: (v) => v.toFixed(3),
    percent: (v) => (100 * v).toFixed(1) + " %",
    micros: (v) => v.toLocaleString("en", { maximumFractionDigits: v < 10 ? 1 : 0 }) + " \u00b5s",
    signed: (v) => (v > 0 ? "+" : "") + v.toFixed(1),
    count: (v) => v.toLocaleString("en", { maximumFractionDigits: 1 }),
    clock: (v) => new Date(1000 * v).toLocaleTimeString(),
  };
  const color = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // Ticks have the digits that tell them apart, not more.
  const ticks = (format) => (u, splits) => {
    if (format === "clock") return splits.map((v) => formats.clock(v).replace(/:\d\d( |$)/, "$1"));
    const step = splits.length > 1 ? Math.abs(splits[1] - splits[0]) : 1;
    const scaled = format === "percent" ? step * 100 : step;
    const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(scaled) + 1e-9)));
    const plain = (v) => v.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return splits.map((v) => format === "percent" ? plain(v * 100) + " %"
      : format === "micros" ? plain(v) + " \u00b5s" : plain(v));
  };

  // The value under the cursor; the last one while there is no cursor, and so no index.
  const written = (format, values) => (u, value, series, index) => {
    const shown = index == null ? values()[values().length - 1] : value;
    return shown == null ? "\u2013" : formats[format](shown);
  };

  const levels = (u, values) => {
    u.ctx.save();
    u.ctx.strokeStyle = color("soft");
    u.ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    u.ctx.lineWidth = devicePixelRatio;
    for (const value of values) {
      const y = Math.round(u.valToPos(value, "y", true)) + 0.5;
      u.ctx.beginPath();
      u.ctx.moveTo(u.bbox.left, y);
      u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
      u.ctx.stroke();
    }
    u.ctx.restore();
  };

  // spec: {x, x_label, x_format, format, levels, series: [{name, color, dashed, values}]}
  return function lines(element, spec) {
    let plot = null;
    const data = () => [spec.x, ...spec.series.map((one) => one.values)];
    const options = () => {
      const axis = {
        stroke: color("soft"),
        font: "12px system-ui, 'DejaVu Sans', sans-serif",
        labelFont: "12px system-ui, 'DejaVu Sans', sans-serif",
        grid: { stroke: color("line"), width: 1 },
        ticks: { show: false },
      };
      const y = { min: 0, max: 0, ...(spec.levels && { min: Math.min(...spec.levels), max: Math.max(...spec.levels) }) };
      return {
        width: element.clientWidth,
        height: Math.max(220, Math.min(320, element.clientWidth * 0.5)),
        scales: {
          x: { time: false },
          y: { range: (u, low, high) => {
            const bottom = Math.min(y.min, low ?? 0), top = Math.max(y.max, high ?? 1) || 1;
            return [bottom < 0 ? bottom * 1.1 : 0, top * 1.1];
          } },
        },
        legend: { markers: { width: 3, dash: (u, i) => (spec.series[i - 1].dashed ? "dashed" : "solid") } },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        axes: [
          { ...axis, grid: { show: false }, values: ticks(spec.x_format || "count"), label: spec.x_label, labelSize: 20, size: 28, space: 90, ...(spec.x_format === "clock" && { incrs: [60, 120, 300] }) },
          { ...axis, values: ticks(spec.format), size: 64, space: 36 },
        ],
        series: [
          { label: spec.x_label, value: written(spec.x_format || "count", () => spec.x) },
          ...spec.series.map((one) => ({
            label: one.name,
            stroke: color(one.color),
            width: 2,
            dash: one.dashed ? [6, 4] : undefined,
            points: { show: () => spec.x.length === 1 },
            value: written(spec.format, () => one.values),
          })),
        ],
        hooks: { drawAxes: [(u) => levels(u, spec.levels || [])] },
      };
    };
    const draw = () => {
      if (plot) plot.destroy();
      plot = new uPlot(options(), data(), element);
    };
    draw();
    const resized = new ResizeObserver(() => {
      if (plot.width !== element.clientWidth && element.clientWidth) draw();
    });
    resized.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return {
      update(x, values) {
        spec.x = x;
        spec.series.forEach((one, i) => { one.values = values[i]; });
        plot.setData(data());
      },
      remove() {
        resized.disconnect();
        scheme.removeEventListener("change", draw);
        plot.destroy();
      },
    };
  };
})();
