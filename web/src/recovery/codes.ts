// Words for the codes of the wire. Those that the API's description lists are exhausted by their types; a test looks the others up
// where the server defines them.

import type { Explanation, Hold, IncidentSource } from '@/api/schema'
import type { Level } from '@/status/status'

/** What holds automatic recovery back, as a title over the server's own sentence. */
export const HOLD_WORDS: Record<Hold['code'], string> = {
  stopped_by_operator: 'Stopped by a person',
  maintenance: 'Maintenance',
  disabled: 'Switched off',
  latched: 'Manual Intervention Required',
  breaker_open: 'Circuit breaker open',
  storm: 'Many services fail at once',
  silenced: 'Alert silenced',
  clock_stall: 'redis-medic stood still',
  no_lease: 'Another redis-medic leads',
  audit_failed: 'Audit log not writable',
}

/** What can be done to a service, by a person or by the ladder. */
export const ACT_WORDS: Record<string, string> = {
  start: 'start',
  stop: 'stop',
  restart: 'restart',
  reload: 'reload',
  'script-kill': 'end the script that blocks Redis',
  continue: 'let the stopped process go on',
  'reset-failed': 'clear the failed state',
  kill: 'kill the process',
  'restore-config': 'put the last good configuration back',
}

/** A list of acts as the server writes it, "reset-failed, start", in words. An act that is new to the panel keeps its name. */
export function actWords(acts: string): string {
  return acts.split(', ').map((act) => ACT_WORDS[act] ?? act).join(', ')
}

const SOURCE_WORDS: Record<IncidentSource, string> = {
  alert: 'noticed by an alert',
  probe: 'noticed by a check of redis-medic',
  loop_guard: 'noticed by the loop guard: it comes back, but too often',
}

/** Who noticed an incident first. */
export function sourceWords(source: IncidentSource | undefined, alert: string): string {
  const who = source ? (SOURCE_WORDS[source] ?? source) : alert ? SOURCE_WORDS.alert : 'systemd restarted it by itself'
  return alert ? `${who} (${alert})` : who
}

export const DECISION_WORDS: Record<Explanation['decision'], { word: string; level: Level }> = {
  healthy: { word: 'Nothing to do', level: 'healthy' },
  act: { word: 'It would act', level: 'recovering' },
  wait: { word: 'It would wait', level: 'recovering' },
  blocked: { word: 'No act can help', level: 'degraded' },
  held: { word: 'It is held', level: 'stopped' },
  critical: { word: 'It would call a person', level: 'down' },
}
