"use strict";
// Two comforts; every page works without them: times in the reader's own zone, and the living part of a page kept fresh.
(() => {
  const format = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const local = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      time.textContent = format.format(new Date(time.dateTime)).replace(",", "");
      time.title = time.dateTime;
    }
  };
  local(document);
  const zone = document.getElementById("zone");
  if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;

  const live = document.querySelector("[data-live]");
  const look = async () => {
    try {
      const answer = await fetch(live.dataset.live, { redirect: "error" });
      if (answer.ok) {
        live.innerHTML = await answer.text();
        local(live);
        if (answer.headers.get("X-Live") === "over") { location.reload(); return; }
      }
    } catch { /* the gateway restarts, or the network is away: the next look will tell */ }
    setTimeout(look, document.hidden ? 10000 : 1000);
  };
  if (live) setTimeout(look, 1000);
})();
