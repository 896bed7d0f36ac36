import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'

import { ApiError } from '@/api/client'
import { RedisServiceAPI } from '@/api/RedisServiceAPI'
import { useSession } from '@/api/session'
import { backoff } from '@/live/freshness'
import { useLive } from '@/live/live'
import { dial, ROLE_CHANGED, SIGNED_OUT, type Socket } from '@/live/socket'
import { follow as words } from '@/messages'

import { cursorOf, EMPTY, isLogMessage, KEPT_LINES, resuming, taken, type Tail } from './tail'

/** Where the following of a log stands. All but `off` and `ended` go on by themselves. */
export type Following = 'off' | 'connecting' | 'following' | 'interrupted' | 'signed-out' | 'ended'

export interface LogFollow {
  state: Ref<Following>
  /** Why it is interrupted or has ended, in words. */
  why: Ref<string>
  tail: ShallowRef<Tail>
  /** Begins anew: so many earlier lines, of this level and above, and then what is written. */
  start: (lines: number, level: string) => void
  /** Ends the connection. The lines stay. */
  stop: () => void
}

/**
 * Follows the log of one service until it is stopped or the component is gone. A connection that is lost is made anew, from where
 * it was lost; one that the server refuses for good ends with its reason.
 */
export function useLogFollow(service: string): LogFollow {
  const live = useLive()
  const session = useSession()
  const state = ref<Following>('off')
  const why = ref('')
  const tail = shallowRef<Tail>(EMPTY)

  let socket: Socket | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  let wanted = { lines: 0, level: '' }
  let attempt = 0
  // Answers to what was asked before the following was stopped, or begun anew, no longer count.
  let generation = 0

  function open(): void {
    const mine = generation
    let heard = false
    tail.value = resuming(tail.value)
    const since = cursorOf(tail.value)
    const path = RedisServiceAPI.logAddress(service, since ? KEPT_LINES : wanted.lines, wanted.level, since)
    socket = dial(path, {
      opened: () => undefined,
      message: (value) => {
        if (mine !== generation || !isLogMessage(value)) return
        heard = true
        attempt = 0
        state.value = 'following'
        why.value = ''
        tail.value = taken(tail.value, value)
      },
      closed: (code) => {
        if (mine !== generation) return
        socket = null
        if (code === SIGNED_OUT) return signedOut()
        if (heard && code !== ROLE_CHANGED) return again(words.lost)
        void ask(mine)
      },
    })
  }

  /** A browser does not say why a connection was refused; the same question without one is answered with the reason. */
  async function ask(mine: number): Promise<void> {
    let error: unknown = null
    try {
      await RedisServiceAPI.logs(service, 1, wanted.level)
    } catch (caught) {
      error = caught
    }
    if (mine !== generation) return
    if (!(error instanceof ApiError)) return again(words.lost)
    if (error.status === 401) return signedOut()
    if (error.status === 403) void session.load()
    const passing = error.unreachable || error.status === 429 || error.status >= 500
    if (passing) return again(error.message, error.retryAfterSeconds ?? 0)
    state.value = 'ended'
    why.value = endWords(error)
  }

  function endWords(error: ApiError): string {
    if (error.status === 403) return words.forbidden(error.problem?.required_roles ?? [], error.problem?.user_role ?? session.user?.role ?? '')
    return error.status === 404 ? words.removed : error.message
  }

  function again(reason: string, atLeastSeconds = 0): void {
    state.value = 'interrupted'
    why.value = reason
    clearTimeout(timer)
    timer = setTimeout(retry, Math.max(atLeastSeconds * 1000, 1000 + backoff(attempt++, Math.random())))
  }

  /** While the API is away it is the page's business to find out when it is back. */
  function retry(): void {
    if (live.phase === 'away' || live.phase === 'reconnecting') return void (timer = setTimeout(retry, 1000))
    open()
  }

  function signedOut(): void {
    state.value = 'signed-out'
    why.value = words.signedOut
    void session.load()
  }

  function drop(): void {
    generation++
    clearTimeout(timer)
    socket?.drop()
    socket = null
  }

  watch(() => session.state, (now) => {
    if (now === 'signed-in' && state.value === 'signed-out') retry()
  })
  onScopeDispose(drop)

  return {
    state, why, tail,
    start: (lines, level) => {
      drop()
      wanted = { lines, level }
      attempt = 0
      tail.value = EMPTY
      why.value = ''
      state.value = 'connecting'
      open()
    },
    stop: () => {
      drop()
      state.value = 'off'
      why.value = ''
    },
  }
}
