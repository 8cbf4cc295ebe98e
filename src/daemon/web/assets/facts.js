// The state of a session, number by number.

import { bytes, clock, count, duration, significant } from "./format.js";

/** A fact: name, value, more about it, and whether it is bad. */
function facts(session, daemon, sinceMs) {
  const { watermarks, spec } = session,
    seconds = spec.bin_width_us / 1e6;
  const lag = watermarks.received_through - watermarks.applied_through;
  const undurable = watermarks.applied_through - watermarks.durable_through;
  const age = session.last_bin_age_ms === null ? null : session.last_bin_age_ms + sinceMs;
  const open = session.state === "open",
    journal = daemon.journal;
  const list = [
    [
      "Session",
      open ? (session.producer_connected ? "receiving" : "no producer") : "closed",
      spec.name || session.session_id,
      open && !session.producer_connected,
    ],
    [
      "Recorded",
      clock(watermarks.applied_through * seconds),
      `${count(watermarks.applied_through)} bins of ${significant(spec.bin_width_us / 1000)} ms`,
    ],
    ["Last bin", age === null ? "none yet" : `${duration(age)} ago`, "", open && age !== null && age > 5000],
    ["Ingest lag", `${count(lag)} bins`, "received, not yet counted", lag * seconds > 1],
    [
      "Gaps",
      session.gap_count ? count(session.gap_count) : "none",
      session.gap_count ? `${count(session.gap_bins)} bins never came` : "every bin came",
      session.gap_count > 0,
    ],
    ["Repeated", count(session.repeated_bins), "bins sent again, ignored"],
    [
      "Late spikes",
      count(session.late_spikes),
      `merged ${count(session.merged_spikes)}, masked ${count(session.masked_spikes)}`,
      session.late_spikes > 0,
    ],
    ["Neurons", count(spec.neuron_count), `${count(session.active_entries)} spikes`],
    [
      "Journal",
      journal ? journal.health : "none",
      journal
        ? journal.health === "working"
          ? `${bytes(journal.file_bytes)}; ${count(undurable)} bins not durable yet`
          : journal.reason
        : "a crash loses this session",
      journal ? journal.health !== "working" : false,
    ],
    [
      "Estimates",
      count(session.refreshes_published),
      `${count(session.refreshes_skipped)} refreshes skipped${session.refit_running ? ", refitting" : ""}`,
    ],
    [
      "Predicts best",
      session.best ? session.best.estimator : "not scored yet",
      session.best
        ? `${session.best.window}: ${session.best.bits_per_spike > 0 ? "+" : ""}${significant(session.best.bits_per_spike)} bits/spike`
        : "",
      session.best !== null && session.best.bits_per_spike <= 0,
    ],
  ];
  if (session.snapshot_failures) list.push(["Snapshots", `${count(session.snapshot_failures)} failed`, session.last_snapshot_error, true]);
  return list;
}

/** Show the facts in a box, changing what has changed alone. */
export function showFacts(box, session, daemon, sinceMs) {
  if (!session) {
    box.replaceChildren();
    return;
  }
  const list = facts(session, daemon, sinceMs);
  while (box.children.length > list.length) box.lastChild.remove();
  list.forEach(([name, value, more, bad], k) => {
    let fact = box.children[k];
    if (!fact) {
      fact = document.createElement("div");
      fact.className = "fact";
      for (const part of ["name", "value", "more"]) {
        const span = document.createElement("span");
        span.className = part;
        fact.append(span);
      }
      box.append(fact);
    }
    fact.dataset.mark = bad ? "bad" : "";
    [name, value, more ?? ""].forEach((text, part) => {
      if (fact.children[part].textContent !== text) fact.children[part].textContent = text;
    });
  });
}
