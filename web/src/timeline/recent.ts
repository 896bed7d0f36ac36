// The last acts, of people and of the machine. Pure.

import type { AuditRecord, Incident } from '@/api/schema'
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

export function recentActs(incidents: readonly Incident[], audit: readonly AuditRecord[], limit: number): RecentAct[] {
  const people = entriesOf([], audit).flatMap((e) =>
    e.kind === 'act' ? [{ id: e.id, at: e.at, who: e.act.who, operation: e.act.operation, success: e.act.success }] : [],
  )
  return [...people, ...incidents.flatMap(machineActs)].sort((a, b) => b.at - a.at).slice(0, limit)
}

function machineActs(incident: Incident): RecentAct[] {
  return (incident.steps ?? [])
    .filter((s) => s.kind === 'outcome')
    .map((s, i) => ({
      id: `${incident.id}-${i}`,
      at: parseTime(s.at) ?? 0,
      who: 'redis-medic',
      operation: s.act ?? s.level ?? 'recovery',
      success: s.result === 'success' ? true : s.result === 'failure' ? false : null,
    }))
}
