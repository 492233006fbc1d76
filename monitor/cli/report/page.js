(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var options = { responsive: true, displayModeBar: false };
  var places = figures.map(function (figure) {
    var place = document.getElementById(figure.id);
    Plotly.newPlot(place, figure.data, figure.layout, options);
    return place;
  });
  // A page of paper is narrower than most windows, and is laid out before charts could notice.
  window.addEventListener("beforeprint", function () {
    places.forEach(function (place) {
      var half = place.parentElement.className === "cell";
      Plotly.relayout(place, { width: half ? 330 : 680, autosize: false });
    });
  });
  window.addEventListener("afterprint", function () {
    places.forEach(function (place) { Plotly.relayout(place, { width: null, autosize: true }); });
  });
  document.documentElement.dataset.drawn = String(places.length);
}());
