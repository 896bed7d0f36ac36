// Automatic recovery in words. Pure.

import type { Breaker, IncidentStatus, Recovery } from '@/api/schema'
import type { Level } from '@/status/status'
import { sentence } from '@/text'
import { moment, parseTime } from '@/time'

export const INCIDENT_WORDS: Record<IncidentStatus, { word: string; level: Level }> = {
  observing: { word: 'Looking', level: 'recovering' },
  recovering: { word: 'Recovering', level: 'recovering' },
  waiting: { word: 'Waiting', level: 'recovering' },
  watching: { word: 'Back, being watched', level: 'recovering' },
  recovered: { word: 'Recovered', level: 'healthy' },
  self_healed: { word: 'Healed by itself', level: 'healthy' },
  not_confirmed: { word: 'Not confirmed', level: 'stopped' },
  manual: { word: 'Manual Intervention Required', level: 'down' },
}

export function incidentWord(status: IncidentStatus): { word: string; level: Level } {
  return INCIDENT_WORDS[status] ?? { word: status, level: 'unknown' }
}

/** One sentence on whether automatic recovery would act. */
export function autoSentence(r: Recovery, now: number): string {
  const since = (wire: string | null | undefined) => {
    const at = parseTime(wire)
    return at === null ? '' : ` since ${moment(at, now)}`
  }
  if (r.manual_intervention) {
    const latched = r.holds?.find((h) => h.code === 'latched')
    return `Automatic recovery is off${since(latched?.since)}: ${sentence(r.manual_reason || 'manual intervention is required')} A person must turn it on.`
  }
  if (!r.enabled) return `Automatic recovery is switched off${since(r.holds?.find((h) => h.code === 'disabled')?.since)}.`
  if (r.desired?.running === false) return `Automatic recovery holds: ${r.desired.by || 'somebody'} stopped this service${since(r.desired.since)}.`
  if (r.holds && r.holds.length > 0) return 'Automatic recovery is on, but held at the moment.'
  if (r.incident && r.incident.status !== 'watching') return 'Automatic recovery is at work.'
  return 'Automatic recovery is on.'
}

export function breakerSentence(b: Breaker, now: number): string {
  const failures = `${b.failures} failed ${b.failures === 1 ? 'operation' : 'operations'}`
  const opened = parseTime(b.opened_at)
  switch (b.phase) {
    case 'open':
      return `Open${opened === null ? '' : ` since ${moment(opened, now)}`}: after ${failures}, operations are refused for a while.`
    case 'half-open':
      return 'Half-open: the next operation is a trial. If it succeeds, the breaker closes.'
  }
  return b.failures === 0 ? 'Closed: no failed operation is counted.' : `Closed, with ${failures} counted.`
}

export function breakerLevel(b: Breaker): Level {
  if (b.phase === 'open') return 'down'
  return b.phase === 'half-open' ? 'degraded' : 'healthy'
}

export function breakerWord(b: Breaker): string {
  if (b.phase === 'open') return 'Open'
  return b.phase === 'half-open' ? 'Half-open' : 'Closed'
}

export function recoveriesText(lastHour: number): string {
  if (lastHour === 0) return 'No recovery in the last hour.'
  return `${lastHour} ${lastHour === 1 ? 'recovery' : 'recoveries'} in the last hour.`
}
