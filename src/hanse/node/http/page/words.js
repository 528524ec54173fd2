// Numbers and times as people read them.

const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];

export function count(number) {
  return number.toLocaleString("en");
}

export function size(bytes) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (bytes < 1024) return `${unit === "B" || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${unit}`;
    bytes /= 1024;
  }
  return `${bytes.toFixed(1)} TiB`;
}

// In whatever currency prices are written: two digits behind the point, or more where it is less than that shows.
export function money(amount) {
  const least = Math.abs(amount) < 1e-12 || Math.abs(amount) >= 0.1;
  const digits = least ? 2 : 1 - Math.floor(Math.log10(Math.abs(amount)));
  return amount.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function duration(seconds) {
  if (seconds < 1e-3) return `${Math.round(seconds * 1e6)} us`;
  if (seconds < 0.1) return `${(seconds * 1e3).toPrecision(2)} ms`;
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  for (const [unit, length] of UNITS) {
    if (seconds >= 2 * length) return `${(seconds / length).toFixed(seconds < 10 * length ? 1 : 0)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

// Seconds since 1970 by the clock of whoever wrote the times that are shown: a browser's may be wrong by hours.
let ahead = 0;
export function now() { return Date.now() / 1000 + ahead; }
export function itIsNow(seconds) { ahead = seconds - Date.now() / 1000; }

export function ago(then) {
  const age = Math.max(0, now() - then);
  for (const [unit, length] of UNITS) {
    if (age >= length) return `${Math.round(age / length)} ${unit} ago`;
  }
  return age < 10 ? "just now" : `${Math.floor(age / 10) * 10} s ago`;
}

export function moment(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleString() : "";
}
