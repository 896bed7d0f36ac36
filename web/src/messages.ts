// Every sentence that the panel says in its own words. Sentences in the server's words are shown as they come.

import type { Operation } from './api/schema'

export const acts: Record<Operation, { verb: string; doing: string; past: string; limitSeconds: number }> = {
  start: { verb: 'Start', doing: 'Starting', past: 'started', limitSeconds: 30 },
  stop: { verb: 'Stop', doing: 'Stopping', past: 'stopped', limitSeconds: 20 },
  restart: { verb: 'Restart', doing: 'Restarting', past: 'restarted', limitSeconds: 40 },
}

export const link = {
  connecting: 'Connecting…',
  live: 'Live',
  polling: 'Live events interrupted, asking every 5 s',
  reconnecting: 'Reconnecting…',
  away: 'Offline',
  updated: (age: string) => `Updated ${age} ago`,
  never: 'No data yet',
}

export const outage = {
  api: (since: string, age: string) =>
    `Control API unreachable. What you see is from ${since} (${age} ago). Redis itself may be fine. Actions are off.`,
  apiNothing: 'Control API unreachable. Nothing is known about Redis from here; it may be fine. Actions are off.',
  host: (host: string) =>
    `Host ${host} is not reachable over SSH. What systemd says is unknown and nothing can be done there from here.`,
  stale: (age: string) =>
    `The control API answers, but its last check of this service is ${age} old. The state is unknown until a new one arrives.`,
  lastKnown: (word: string) => `Last known: ${word}`,
  retry: 'Try again now',
  wayRound: 'Look on the host itself:',
  copy: 'Copy',
  copied: 'Copied',
  notCopied: 'Not possible here',
}

export const reasons = {
  away: 'the control API is unreachable',
  stale: 'the state is unknown',
  connecting: 'the state is not known yet',
  hostUnreachable: 'the host is not reachable over SSH',
  signIn: 'sign in first',
  role: (verb: string, required: string[], mine: string) =>
    required.length > 0 ? `${verb} needs ${required.join(' or ')}; you are ${mine}` : `your role, ${mine}, may not ${verb.toLowerCase()}`,
  busy: (who: string, what: string, since: string) => `${who} is running ${what} since ${since}`,
  ownAct: 'wait for the act in hand',
  running: 'it is running',
  notRunning: 'it is not running',
}

export const confirm = {
  cancel: 'Cancel',
  restartTitle: (name: string, environment: string) => `Restart ${name}${environment && ` (${environment})`}?`,
  restartImpact: (clients: number | null) =>
    clients === null
      ? 'All connected clients are disconnected. They are without Redis until it answers again.'
      : `This drops ${clients} ${clients === 1 ? 'client' : 'clients'}. They are without Redis until it answers again.`,
  stopTitle: (name: string, environment: string) => `Stop ${name}${environment && ` (${environment})`}?`,
  stopImpact: (clients: number | null) =>
    clients === null
      ? 'All connected clients are disconnected, and Redis stays down.'
      : `This drops ${clients} ${clients === 1 ? 'client' : 'clients'}, and Redis stays down.`,
  stopHold: 'Automatic recovery is held until somebody starts it again.',
  affected: (services: string[]) => `Affected: ${services.join(', ')}.`,
  affectedUnknown: 'Every service that uses it is affected.',
  typeName: (name: string) => `Type ${name} to confirm`,
  again: 'The server asks for another confirmation. Nothing has been done so far.',
}

export const result = {
  unknown: (verb: string, why: string) =>
    `Outcome unknown: ${why} The ${verb.toLowerCase()} may or may not have been carried out. Check the state below before you repeat it.`,
  busy: (who: string, what: string) => `Not done: ${who} is running ${what} on this service.`,
  notSentOffline: 'Not sent: this device is offline. Nothing was queued.',
  denied: (required: string[], mine: string) =>
    required.length > 0 ? `Not allowed: this needs ${required.join(' or ')}; you are ${mine}.` : `Not allowed for your role, ${mine}.`,
  took: (s: string) => `Took ${s}.`,
  terminated: (n: number) => `${n} ${n === 1 ? 'client was' : 'clients were'} disconnected.`,
  retryAfter: (s: string) => `Try again in ${s}.`,
  dismiss: 'Dismiss',
}

export const signIn = {
  title: 'Sign in',
  email: 'E-mail',
  password: 'Password',
  submit: 'Sign in',
  working: 'Signing in…',
  wrong: 'E-mail or password is wrong.',
  expiredTitle: 'Your session has ended',
  expiredText: 'What is on the page stays. Sign in again to act.',
  elsewhere: (name: string) => `Sign in with ${name}`,
  or: 'or with a password of this server',
  none: 'This server has no way to sign in: its configuration names neither users nor an identity provider.',
  leaves: 'That leads away from this page and back to it.',
  failed: 'Signing in failed. Try again; if it fails again, the log of redis-medic says why.',
  failures: {
    oidc_off: 'Signing in with an identity provider is switched off on this server.',
    oidc_unreachable: 'The identity provider cannot be reached from this server. Try again in a while.',
    oidc_expired: 'That took too long, or was begun in another browser. Begin again.',
    oidc_refused: 'The identity provider did not let you in.',
    oidc_invalid: 'The answer of the identity provider did not pass the checks. The log of redis-medic says which.',
    oidc_no_role: 'The identity provider knows you, but none of your groups has a role here. Ask an administrator of redis-medic.',
  } as Record<string, string>,
}

export const notAvailable = {
  title: (what: string) => `${what} not available`,
  missing: 'This server does not offer it.',
  forbidden: (required: string[], mine: string) =>
    required.length > 0 ? `It needs ${required.join(' or ')}; you are ${mine}.` : `Your role, ${mine}, may not see it.`,
  retry: 'Try again',
}

export const banners = {
  manual: 'Manual Intervention Required',
  maintenance: (by: string, until: string, text: string) =>
    `Maintenance${until ? ` until ${until}` : ''}${by ? `, by ${by}` : ''}: alerts are silenced and automatic recovery is held. ${text}`,
  degraded: (since: string) => `Limited functionality since ${since}: what depends on this Redis runs on its fallbacks.`,
}

export const follow = {
  label: 'Follow',
  connecting: 'Connecting to the log…',
  following: 'Following',
  interrupted: (why: string) => `Interrupted, trying again: ${why}`,
  lost: 'the connection was lost.',
  fault: (why: string) => `The log cannot be read at the moment: ${why} Reading goes on.`,
  ended: (why: string) => `Following has ended: ${why} What is shown stays.`,
  forbidden: (required: string[], mine: string) =>
    required.length > 0 ? `logs need ${required.join(' or ')}; you are ${mine}.` : `your role, ${mine}, may not see logs.`,
  removed: 'this service is not in the configuration of the server any more.',
  signedOut: 'your session has ended. It goes on when you sign in again.',
  pause: 'Pause',
  goOn: 'Go on',
  paused: (count: number) => `Paused – ${count} new`,
  pausedSpoken: 'Paused: new lines wait.',
  showNew: (count: number) => `Show ${count} new ${count === 1 ? 'line' : 'lines'}`,
  readAgain: 'Read again',
  came: (lines: number, errors: number) =>
    `${lines} new ${lines === 1 ? 'line' : 'lines'}${errors > 0 ? `, ${errors} ${errors === 1 ? 'error' : 'errors'}` : ''}`,
  gap: 'Lines may be missing here.',
  left: (kept: number, gone: number) => `The newest ${kept} lines stand here; ${gone} older ${gone === 1 ? 'one has' : 'ones have'} left the page.`,
}

export const explain = {
  what: 'The look',
  look: 'Look now',
  looking: 'Looking…',
  acts: 'Its acts:',
  skipped: (level: string) => `Passed over ${level}:`,
}

export const evidence = {
  title: 'Evidence',
  of: (incident: string) => `Evidence of ${incident}`,
  back: 'All steps of the incident',
  none: 'Nothing was read on the host: redis-medic did not act in this incident.',
  taken: 'Read on the host before the first act, at',
  within: (took: string) => `within ${took}.`,
  file: 'Download as a file',
  empty: (titles: string[]) => `Nothing was there of: ${titles.join(', ')}.`,
  link: 'evidence',
}

export const noService = {
  title: 'There is no such service',
  unknown: (id: string) => `This server has no service with the id ${id}.`,
  removed: 'This service is not in the configuration of the server any more. What is shown is what was last known of it.',
  back: 'Go to the services',
}
