// Incidents and people's acts on one axis, newest first. Pure.

import type { AuditRecord, Incident, Step } from '@/api/schema'
import type { Level } from '@/status/status'
import { parseTime } from '@/time'

export type Entry =
  | { kind: 'incident'; id: string; at: number; incident: Incident }
  | { kind: 'act'; id: string; at: number; act: PersonAct }

export interface PersonAct {
  who: string
  operation: string
  success: boolean
  seconds: number
  error: string
}

const OPERATIONS = new Set(['start', 'stop', 'restart', 'reload'])

/** Acts of people are taken from the audit log; those of the machine are part of its incidents. */
export function entriesOf(incidents: readonly Incident[], audit: readonly AuditRecord[]): Entry[] {
  const fromIncidents: Entry[] = incidents.map((incident) => ({
    kind: 'incident', id: incident.id, at: parseTime(incident.opened_at) ?? 0, incident,
  }))
  const fromAudit: Entry[] = audit.filter(isPersonAct).map((r) => ({
    kind: 'act',
    id: `act-${r.seq}`,
    at: parseTime(r.timestamp) ?? 0,
    act: {
      who: r.user.email || r.user.id,
      operation: r.operation,
      success: r.result.success,
      seconds: r.result.duration_seconds,
      error: r.result.error ?? '',
    },
  }))
  return [...fromIncidents, ...fromAudit].sort((a, b) => b.at - a.at)
}

function isPersonAct(r: AuditRecord): boolean {
  return r.phase === 'outcome' && r.event_type === 'service_operation' && OPERATIONS.has(r.operation)
}

/** How long clients were without Redis, in seconds: from the alert to the first PONG. Null while it lasts or if never known. */
export function outageSeconds(incident: Incident): number | null {
  const from = parseTime(incident.alert_starts_at) ?? parseTime(incident.opened_at)
  const to = parseTime(incident.recovered_at)
  return from === null || to === null ? null : Math.max(0, (to - from) / 1000)
}

/** "+1.4 s": how long after the opening a step came. */
export function offsetOf(step: Step, incident: Incident): string {
  const from = parseTime(incident.opened_at)
  const at = parseTime(step.at)
  if (from === null || at === null) return ''
  const s = Math.max(0, (at - from) / 1000)
  if (s < 10) return `+${s.toFixed(1)} s`
  return s < 120 ? `+${Math.round(s)} s` : `+${Math.round(s / 60)} m`
}

export const KINDS: Record<string, string> = {
  opened: 'Opened', observed: 'Observed', diagnosed: 'Diagnosed', held: 'Held', skipped: 'Skipped', intent: 'Act',
  outcome: 'Outcome', verified: 'Verified', closed: 'Closed',
}

/** How a step looks: the shape of its result, with the word for its kind. */
export function stepLook(step: Step): { level: Level; word: string } {
  return { level: stepLevel(step), word: KINDS[step.kind] ?? step.kind }
}

function stepLevel(step: Step): Level {
  if (step.result === 'success') return 'healthy'
  if (step.result === 'failure') return 'down'
  if (step.result === 'unknown') return 'degraded'
  if (step.kind === 'intent') return 'recovering'
  if (step.kind === 'closed') return 'healthy'
  return step.kind === 'skipped' || step.kind === 'held' ? 'stopped' : 'unknown'
}
