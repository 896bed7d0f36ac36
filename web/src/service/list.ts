// The list of services, worst first. Pure.

import { serverTime } from '@/api/clock'
import type { ServiceRecord } from '@/api/schema'
import { ageOf, staleAfter } from '@/live/freshness'
import { look, rank, recordLevel, type Shown } from '@/status/status'
import { parseTime } from '@/time'

export interface Listed {
  record: ServiceRecord
  shown: Shown
  fresh: boolean
  checkedAt: number | null
}

export function listed(records: readonly ServiceRecord[], filter: string, heardAt: number, now: number): Listed[] {
  const wanted = filter.trim().toLowerCase()
  return records
    .filter((r) => wanted === '' || `${r.id} ${r.name}`.toLowerCase().includes(wanted))
    .map((r) => rowOf(r, heardAt, now))
    .sort((a, b) => rank(a.shown.level) - rank(b.shown.level) || a.record.id.localeCompare(b.record.id))
}

function rowOf(record: ServiceRecord, heardAt: number, now: number): Listed {
  const checkedAt = parseTime(record.last_check)
  const level = recordLevel(record.overall_status, record.status)
  const stamp = { heardAt, measuredAtServer: checkedAt ?? serverTime(heardAt) }
  return {
    record,
    shown: { level, word: look(level).word },
    fresh: ageOf(stamp, now, serverTime(now)) <= staleAfter(record.check_interval_seconds),
    checkedAt,
  }
}
