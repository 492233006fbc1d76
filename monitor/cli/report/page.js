(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var options = { responsive: true, displayModeBar: false };
  // Names of rows take two fifths of a drawing at most: longer ones lose their middle, and are whole when they are pointed at.
  function shortened(text, most) {
    var end = Math.floor(most / 2);
    return text.length <= most ? text : text.slice(0, most - end - 1) + "\u2026" + text.slice(-end);
  }
  function names(figure) {
    var found = {};
    Object.keys(figure.layout).forEach(function (key) {
      var axis = figure.layout[key], trace = key.replace("axis", "");
      if (key.indexOf("yaxis") !== 0) { return; }
      if (axis.ticktext) { found[key] = [axis.tickvals, axis.ticktext]; }
      if (axis.type === "category") {
        var rows = [];
        figure.data.forEach(function (own) {
          if (own.yaxis === trace) { own.y.forEach(function (y) { if (rows.indexOf(y) < 0) { rows.push(y); } }); }
        });
        found[key] = [rows, rows];
      }
    });
    return found;
  }
  function fitted(figure, width) {
    var most = Math.max(8, Math.floor(0.4 * width / 6.5)), changes = {};
    if (figure.layout.xaxis.type === "date") { changes["xaxis.nticks"] = Math.max(2, Math.floor(0.6 * width / 80)); }
    Object.keys(figure.names).forEach(function (key) {
      changes[key + ".tickvals"] = figure.names[key][0];
      changes[key + ".ticktext"] = figure.names[key][1].map(function (text) { return shortened(text, most); });
    });
    return changes;
  }
  var places = figures.map(function (figure) {
    var place = document.getElementById(figure.id);
    figure.names = names(figure);
    Plotly.newPlot(place, figure.data, figure.layout, options);
    Plotly.relayout(place, fitted(figure, place.clientWidth));
    return place;
  });
  var drawn = window.innerWidth;
  window.addEventListener("resize", function () {
    if (window.innerWidth === drawn) { return; }
    drawn = window.innerWidth;
    places.forEach(function (place, i) { Plotly.relayout(place, fitted(figures[i], place.clientWidth)); });
  });
  // A page of paper is narrower than most windows, and is laid out before charts could notice. Two high ones go on it.
  window.addEventListener("beforeprint", function () {
    places.forEach(function (place, i) {
      var half = place.closest(".cell") !== null, high = figures[i].layout.height;
      var height = half ? 170 : Math.min(high, 390);
      place.style.minHeight = height + "px";
      var width = half ? 330 : 690;
      Plotly.relayout(place, Object.assign({ width: width, height: height, autosize: false }, fitted(figures[i], width)));
    });
  });
  window.addEventListener("afterprint", function () {
    places.forEach(function (place, i) {
      place.style.minHeight = figures[i].layout.height + "px";
      var whole = { width: null, height: figures[i].layout.height, autosize: true };
      Plotly.relayout(place, Object.assign(whole, fitted(figures[i], place.clientWidth)));
    });
  });
  document.documentElement.dataset.drawn = String(places.length);
}());
