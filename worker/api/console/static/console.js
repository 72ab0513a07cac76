"use strict";
// Comforts; every page works without them: times in the reader's own zone, time that runs down, the living part kept fresh.
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

  const left = (seconds) => {
    const [days, hours, minutes] = [seconds / 86400, (seconds % 86400) / 3600, (seconds % 3600) / 60].map(Math.floor);
    if (seconds <= 0) return "time is over";
    if (days > 1) return `in ${days} d ${hours} h`;
    return seconds < 3600 ? `in ${minutes} min ${Math.floor(seconds % 60)} s` : `in ${days * 24 + hours} h ${minutes} min`;
  };
  const count = () => {
    for (const one of document.querySelectorAll("[data-until]")) one.textContent = left(one.dataset.until - Date.now() / 1000);
  };
  if (document.querySelector("[data-until]")) { count(); setInterval(count, 1000); }

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
