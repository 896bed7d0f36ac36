// The last acts, of people and of the machine. Pure.

import type { AuditRecord, Incident, LiveEvent } from '@/api/schema'
import { parseTime } from '@/time'

import { entriesOf } from './entries'

export interface RecentAct {
  id: string
  at: number
  who: string
  operation: string
  /** Null: not known. */
  success: boolean | null
}

// A record and a message about the same act carry times that differ by less than this.
const SAME_ACT_MS = 3000

/** People's acts come from the audit log and, since the page was opened, from live messages. */
export function recentActs(
  incidents: readonly Incident[], audit: readonly AuditRecord[], events: readonly LiveEvent[], limit: number,
): RecentAct[] {
  const recorded = entriesOf([], audit).flatMap((e) =>
    e.kind === 'act' ? [{ id: e.id, at: e.at, who: e.act.who, operation: e.act.operation, success: e.act.success }] : [],
  )
  const machine = incidents.flatMap(machineActs)
  const known = [...recorded, ...machine]
  const seen = events.flatMap(liveAct).filter((a) => !known.some((k) => k.operation === a.operation && Math.abs(k.at - a.at) < SAME_ACT_MS))
  return [...known, ...seen].sort((a, b) => b.at - a.at).slice(0, limit)
}

const ENDED: Record<string, boolean | null> = { success: true, failure: false, unknown: null }

function liveAct(event: LiveEvent): RecentAct[] {
  if (event.type !== 'service_event' || !event.event || !event.result || !(event.result in ENDED)) return []
  return [{
    id: `event-${event.seq}`, at: parseTime(event.timestamp) ?? 0, who: event.user || 'redis-medic', operation: event.event,
    success: ENDED[event.result] ?? null,
  }]
}

function machineActs(incident: Incident): RecentAct[] {
  return incident.steps
    .filter((s) => s.kind === 'outcome')
    .map((s, i) => ({
      id: `${incident.id}-${i}`,
      at: parseTime(s.at) ?? 0,
      who: 'redis-medic',
      operation: s.act ?? s.level ?? 'recovery',
      success: s.result === 'success' ? true : s.result === 'failure' ? false : null,
    }))
}
