// How times and lengths of time are written. Pure but for the reader's locale and time zone.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const dayAndClock = new Intl.DateTimeFormat(undefined, {
  year: 'numeric', month: 'short', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
})

/** Unix milliseconds of a wire time; null for one that is missing, unreadable or Go's zero time. */
export function parseTime(wire: string | null | undefined): number | null {
  if (!wire) return null
  const ms = Date.parse(wire)
  return Number.isNaN(ms) || ms <= 0 ? null : ms
}

/** "03:02:11" today, with the day otherwise. Local time. */
export function moment(ms: number, now: number): string {
  const sameDay = new Date(ms).toDateString() === new Date(now).toDateString()
  return (sameDay ? clock : dayAndClock).format(ms)
}

/** "2025-10-10 03:02:11 UTC". */
export function utc(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** "12 s", "1 m 34 s", "2 h 5 m", "3 d 4 h": two units at most. */
export function duration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  if (s < 60) return `${s} s`
  const m = Math.floor(s / 60)
  if (m < 60) return s % 60 === 0 ? `${m} m` : `${m} m ${s % 60} s`
  const h = Math.floor(m / 60)
  if (h < 24) return m % 60 === 0 ? `${h} h` : `${h} h ${m % 60} m`
  const d = Math.floor(h / 24)
  return h % 24 === 0 ? `${d} d` : `${d} d ${h % 24} h`
}

/** Seconds as the server reports them, exact where that matters: "0.8 s", "12.5 s", "2 m 3 s". */
export function seconds(s: number): string {
  return s < 60 ? `${Number(s.toFixed(s < 10 ? 1 : 0))} s` : duration(s * 1000)
}
