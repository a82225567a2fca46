// Numbers and times for people.

const WHOLE = new Intl.NumberFormat("en");

export const count = (number) => WHOLE.format(Math.round(number || 0));

export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function figure(number) {
  if (!number) return "0";
  if (number >= 100) return count(number);
  return String(Number(number.toPrecision(number >= 10 ? 3 : 2)));
}

/** How long something took: "0.2 ms", "3.2 s", "4:05", "1:02:03", "2 d 3:04:05". */
export function span(seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 1e-3) return `${figure(seconds * 1e6)} µs`;
  if (seconds < 1) return `${figure(seconds * 1e3)} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const two = (n) => String(n).padStart(2, "0");
  const all = Math.round(seconds);
  const days = Math.floor(all / 86400);
  const hours = Math.floor((all % 86400) / 3600);
  const rest = `${hours || days ? two(Math.floor((all % 3600) / 60)) : Math.floor((all % 3600) / 60)}:${two(all % 60)}`;
  const text = hours || days ? `${hours}:${rest}` : rest;
  return days ? `${days} d ${text}` : text;
}

export function moment(seconds) {
  if (!seconds) return "";
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.valueOf())) return "";
  const two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(seconds)}`;
}

export function clock(seconds) {
  const at = new Date(seconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The hour of the day to a millisecond. */
export const instant = (seconds) => `${clock(seconds)}.${String(Math.floor((seconds % 1) * 1000)).padStart(3, "0")}`;

export function bytes(number) {
  if (!number) return "0 B";
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.abs(number)) / 3));
  return `${Number((number / 1000 ** unit).toPrecision(3))} ${units[unit]}`;
}
