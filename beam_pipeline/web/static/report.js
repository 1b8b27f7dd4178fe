"use strict";
const specs = JSON.parse(document.getElementById("charts").textContent);
for (const element of document.querySelectorAll("[data-chart]")) {
  charts(element, specs[element.dataset.chart]);
}
