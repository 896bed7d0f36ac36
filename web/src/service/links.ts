// Where else to look. Pure.

import type { Incident } from '@/api/schema'
import { parseTime } from '@/time'

import type { KnownService } from './useService'

export interface OutwardLink {
  label: string
  href: string
}

const AROUND_MS = 15 * 60_000

/** The runbook and the graphs of a service, as far as it has them; the graphs at the time of an incident. */
export function linksOf(record: KnownService, incident: Incident | null): OutwardLink[] {
  const graphs = graphsAt(record.dashboard_url, incident)
  const runbook = webAddress(record.runbook_url)
  return [...(runbook ? [{ label: 'Runbook', href: runbook.href }] : []), ...(graphs ? [{ label: 'Graphs', href: graphs }] : [])]
}

/** The dashboard from a while before an incident until a while after it, or until now. Grafana's parameters. */
export function graphsAt(dashboard: string | null | undefined, incident: Incident | null): string {
  const url = webAddress(dashboard)
  const from = parseTime(incident?.alert_starts_at) ?? parseTime(incident?.opened_at)
  if (!url || from === null) return url?.href ?? ''
  const to = parseTime(incident?.closed_at)
  url.searchParams.set('from', String(from - AROUND_MS))
  url.searchParams.set('to', to === null ? 'now' : String(to + AROUND_MS))
  return url.href
}

/** Only an address of the web is a link. */
function webAddress(text: string | null | undefined): URL | null {
  if (!text || !URL.canParse(text)) return null
  const url = new URL(text)
  return /^https?:$/.test(url.protocol) ? url : null
}
