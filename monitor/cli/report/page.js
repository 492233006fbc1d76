(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var options = { responsive: true, displayModeBar: false };
  var places = figures.map(function (figure) {
    var place = document.getElementById(figure.id);
    Plotly.newPlot(place, figure.data, figure.layout, options);
    return place;
  });
  // A page of paper is narrower than most windows, and is laid out before charts could notice. Two high ones go on it.
  window.addEventListener("beforeprint", function () {
    places.forEach(function (place, i) {
      var half = place.closest(".cell") !== null, high = figures[i].layout.height;
      var height = half ? 170 : Math.min(high, 390);
      place.style.minHeight = height + "px";
      Plotly.relayout(place, { width: half ? 330 : 690, height: height, autosize: false });
    });
  });
  window.addEventListener("afterprint", function () {
    places.forEach(function (place, i) {
      place.style.minHeight = figures[i].layout.height + "px";
      Plotly.relayout(place, { width: null, height: figures[i].layout.height, autosize: true });
    });
  });
  document.documentElement.dataset.drawn = String(places.length);
}());
