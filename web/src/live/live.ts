import { defineStore } from 'pinia'
import { computed, reactive, ref, shallowRef } from 'vue'

import { serverTime } from '@/api/clock'
import { ApiError } from '@/api/client'
import { RedisServiceAPI } from '@/api/RedisServiceAPI'
import { useSession } from '@/api/session'
import type { Health, Incident, LiveEvent, Recovery, ServiceStatus } from '@/api/schema'
import { shownState, type Level } from '@/status/status'

import { isHealth, isLiveEvent, needsRefetch, orderOf, withIncident, withStatus } from './events'
import { ageOf, backoff, phaseOf, planAt, POLL_MS, SILENCE_MS, staleAfter, trustOf, type Link, type Stamp, type Timetable } from './freshness'
import { dial, ROLE_CHANGED, SIGNED_OUT, type Socket } from './socket'

/** One look at the service, for the strip of recent checks. */
export interface Sample {
  at: number
  level: Level
  latencyMs: number | null
}

const KEPT_SAMPLES = 60
const KEPT_EVENTS = 30
const REFETCH_DELAY_MS = 150
const UNLINKED: Link = { socketOpen: false, socketTried: false, suspectSince: null, heardAt: null }

/**
 * What is known of the one service on the screen and how far it may be believed. It fetches, listens, and reconnects by
 * itself while a service is followed; it never acts on a service.
 */
export const useLive = defineStore('live', () => {
  const session = useSession()
  const serviceId = ref('')
  const now = ref(Date.now())
  const status = shallowRef<ServiceStatus | null>(null)
  const health = shallowRef<Health | null>(null)
  const recovery = shallowRef<Recovery | null>(null)
  const recoveryError = shallowRef<ApiError | null>(null)
  const samples = shallowRef<Sample[]>([])
  const events = shallowRef<LiveEvent[]>([])
  const incident = shallowRef<Incident | null>(null)
  /** Why the API is taken for unreachable; null while it answers. */
  const failure = shallowRef<ApiError | null>(null)
  const stamp = shallowRef<Stamp | null>(null)
  /** How often the server looks at the service, in seconds; null: as the document has it. */
  const checkedEvery = ref<number | null>(null)
  const link = reactive<Link>({ ...UNLINKED })

  const timetable: Timetable = { polling: false, dialling: false, polledAt: 0, retryAt: 0 }
  let socket: Socket | null = null
  let socketLostAt: number | null = null
  let attempt = 0
  let lastSeq = 0
  let messageAt = 0
  let again = false
  let ticker: ReturnType<typeof setInterval> | undefined
  let refetch: ReturnType<typeof setTimeout> | undefined
  // Answers that were asked for before the service was changed belong to another page.
  let generation = 0

  const phase = computed(() => phaseOf(link, now.value))
  const trust = computed(() => trustOf(stamp.value, phase.value, now.value, serverTime(now.value), staleAfter(checkedEvery.value)))
  /** The state as the evidence has it, whatever its age. */
  const known = computed(() => shownState({ status: status.value, health: health.value, recovery: recovery.value }))
  /** The state that may be claimed now: never green unless fresh. */
  const level = computed<Level>(() => (trust.value === 'fresh' ? known.value.level : 'unknown'))
  /** The incident that is or was last in progress, as far as it is known without asking for the list. */
  const current = computed(() => recovery.value?.incident ?? incident.value)
  const ageMs = computed(() => (stamp.value ? ageOf(stamp.value, now.value, serverTime(now.value)) : null))

  function heard(at = Date.now()): void {
    link.heardAt = at
    link.suspectSince = null
    failure.value = null
    attempt = 0
  }

  /** Looks that follow each other closely count as one, and so do failed ones while the API is away. */
  function sampled(level: Level, latencyMs: number | null): void {
    const at = Date.now()
    const last = samples.value.at(-1)
    const spacing = latencyMs === null && level === 'unknown' ? POLL_MS : 1000
    const same = last?.level === level && at - last.at < spacing
    samples.value = [...(same ? samples.value.slice(0, -1) : samples.value), { at: same ? last.at : at, level, latencyMs }].slice(-KEPT_SAMPLES)
  }

  function took(measuredAt: string | null): void {
    const measured = Date.parse(measuredAt ?? '')
    const at = Date.now()
    now.value = at
    stamp.value = { heardAt: at, measuredAtServer: Number.isNaN(measured) ? serverTime(at) : measured }
  }

  function lost(error: ApiError, since: number): void {
    dropSocket()
    failure.value = error
    link.suspectSince ??= socketLostAt ?? since
    timetable.retryAt = Date.now() + backoff(attempt++, Math.random())
    sampled('unknown', null)
  }

  /** Fetches everything the page shows. Resolves when done, also when it failed. */
  async function refresh(): Promise<void> {
    if (!serviceId.value) return
    if (timetable.polling) {
      again = true
      return
    }
    const id = serviceId.value
    const mine = generation
    const startedAt = Date.now()
    timetable.polling = true
    timetable.polledAt = startedAt
    again = false
    const [s, h, r] = await Promise.allSettled([
      RedisServiceAPI.status(id), RedisServiceAPI.health(id), RedisServiceAPI.recovery(id),
    ])
    if (mine !== generation) return
    timetable.polling = false
    const error = asApiError(s) ?? asApiError(h)
    if (error && (error.unreachable || error.status >= 500)) return lost(error, startedAt)
    heard()
    if (s.status === 'fulfilled') {
      const untold = status.value !== null && status.value.pid !== s.value.pid
      if (untold && link.socketOpen && startedAt - messageAt >= SILENCE_MS) dropSocket()
      status.value = s.value
      took(s.value.last_check)
    }
    recoveryError.value = asApiError(r)
    if (r.status === 'fulfilled') recovery.value = r.value
    if (h.status === 'fulfilled') {
      health.value = h.value
      sampled(known.value.level, h.value.response_time_ms)
    }
    failure.value = error
    // What was asked for, or told, while this was under way may be newer than the answer.
    if (again || messageAt > startedAt) refetchSoon()
    // The first dial, or the next one, need not wait for the clock.
    tick()
  }

  function asApiError(result: PromiseSettledResult<unknown>): ApiError | null {
    return result.status === 'rejected' && result.reason instanceof ApiError ? result.reason : null
  }

  function onMessage(event: LiveEvent): void {
    const order = orderOf(lastSeq, event)
    heard()
    messageAt = Date.now()
    socketLostAt = null
    if (order === 'old') return
    // After a snapshot the rest of the page is fetched too: it may be older than what was missed.
    const missed = order === 'gap' || (event.snapshot === true && lastSeq > 0 && event.seq !== lastSeq)
    if (event.seq) lastSeq = event.seq
    apply(event)
    if (missed || needsRefetch(event)) refetchSoon()
  }

  function apply(event: LiveEvent): void {
    if (event.type === 'service_status') {
      status.value = withStatus(status.value, event)
      if (!event.snapshot) took(event.timestamp)
    } else if (event.type === 'health' && isHealth(event.health)) {
      health.value = event.health
      // A snapshot is made when it is asked for: its time says nothing about when the service was looked at.
      if (!event.snapshot) took(event.timestamp)
      sampled(known.value.level, event.health.response_time_ms)
    } else if (!event.snapshot) {
      events.value = [event, ...events.value].slice(0, KEPT_EVENTS)
    }
    if (event.incident) {
      incident.value = event.incident
      recovery.value = withIncident(recovery.value, event.incident)
    }
  }

  function refetchSoon(): void {
    clearTimeout(refetch)
    refetch = setTimeout(() => void refresh(), REFETCH_DELAY_MS)
  }

  /** A socket can look open long after the other end has gone. Events that it missed are sent again by their number. */
  function dropSocket(): void {
    socket?.drop()
    socket = null
    link.socketOpen = false
    timetable.dialling = false
  }

  function openSocket(): void {
    timetable.dialling = true
    const mine = generation
    socket = dial(RedisServiceAPI.eventsAddress(serviceId.value, lastSeq), {
      opened: () => {
        timetable.dialling = false
        socketLostAt = null
        link.socketOpen = link.socketTried = true
        heard()
      },
      message: (event) => {
        if (mine === generation && isLiveEvent(event)) onMessage(event)
      },
      closed: (code) => {
        timetable.dialling = false
        // Signed out, or another role: who this is, and what they may do, has changed.
        if (code === SIGNED_OUT || code === ROLE_CHANGED) void session.load()
        socketLostAt ??= Date.now()
        link.socketOpen = false
        link.socketTried = true
        timetable.retryAt = Date.now() + backoff(attempt++, Math.random())
        void refresh()
      },
    })
  }

  /** Does at this moment what the timetable asks for. Called every second, and at once when the device comes back. */
  function tick(): void {
    now.value = Date.now()
    if (!serviceId.value) return
    const plan = planAt(link, timetable, now.value)
    if (plan.poll) void refresh()
    if (plan.dial) openSocket()
  }

  function retryNow(): void {
    attempt = 0
    timetable.retryAt = 0
    timetable.polledAt = 0
    if (document.visibilityState !== 'hidden') tick()
  }

  /** Follows one service and forgets the one before. */
  function follow(id: string): void {
    if (serviceId.value === id) return
    unfollow()
    serviceId.value = id
    ticker = setInterval(tick, 1000)
    window.addEventListener('online', retryNow)
    document.addEventListener('visibilitychange', retryNow)
    tick()
  }

  function unfollow(): void {
    generation++
    clearInterval(ticker)
    clearTimeout(refetch)
    window.removeEventListener('online', retryNow)
    document.removeEventListener('visibilitychange', retryNow)
    dropSocket()
    serviceId.value = ''
    status.value = health.value = recovery.value = recoveryError.value = failure.value = incident.value = stamp.value = null
    samples.value = []
    events.value = []
    Object.assign(link, UNLINKED)
    Object.assign(timetable, { polling: false, dialling: false, polledAt: 0, retryAt: 0 })
    checkedEvery.value = null
    socketLostAt = null
    attempt = lastSeq = 0
  }

  return {
    serviceId, now, status, health, recovery, recoveryError, samples, events, current, failure, stamp, link,
    checkedEvery, phase, trust, known, level, ageMs, follow, unfollow, refresh, retryNow,
  }
})
