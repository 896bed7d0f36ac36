// An incident drawn on one axis of time. Pure; positions are parts of the width, from 0 to 1.

import type { Incident } from '@/api/schema'
import type { Level } from '@/status/status'
import { parseTime, seconds } from '@/time'

import { stepLook } from './entries'

export interface Track {
  marks: { at: number; level: Level }[]
  /** Where Redis answered again; null: it did not so far. */
  backAt: number | null
  labels: { at: number; text: string }[]
}

/** From the alert, or the opening, to the last thing that is known. Null for an incident without a length. */
export function trackOf(incident: Incident): Track | null {
  const opened = parseTime(incident.opened_at)
  const from = parseTime(incident.alert_starts_at) ?? opened
  const times = incident.steps.map((s) => parseTime(s.at)).filter((t) => t !== null)
  const back = parseTime(incident.recovered_at)
  const to = Math.max(...times, back ?? 0, parseTime(incident.closed_at) ?? 0)
  if (from === null || times.length === 0 || to <= from) return null
  const place = (t: number) => Math.min(1, Math.max(0, (t - from) / (to - from)))
  return {
    marks: incident.steps.flatMap((s) => {
      const t = parseTime(s.at)
      return t === null ? [] : [{ at: place(t), level: stepLook(s).level }]
    }),
    backAt: back === null ? null : place(back),
    labels: [{ at: 0, text: '0 s' }, { at: 1, text: seconds((to - from) / 1000) }],
  }
}
