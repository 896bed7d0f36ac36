import { isLiveEvent } from './events'
import type { LiveEvent } from '@/api/schema'

const DIAL_TIMEOUT_MS = 8_000

/** The server's close codes for a session that ended and for a role that changed. */
export const SIGNED_OUT = 4401
export const ROLE_CHANGED = 4403

export interface SocketHandlers {
  opened: () => void
  message: (event: LiveEvent) => void
  /** Called once, when the socket ends or could not be opened, with the server's code or 0. */
  closed: (code: number) => void
}

/** One connection to the live events of one service. It does not reconnect: that is decided where the timetable is. */
export interface Socket {
  /** Ends the connection without calling a handler. */
  drop: () => void
}

function address(service: string, after: number): string {
  const base = location.origin.replace(/^http/, 'ws')
  const resume = after > 0 ? `?after=${after}` : ''
  return `${base}/ws/services/${encodeURIComponent(service)}/status${resume}`
}

export function dial(service: string, after: number, handlers: SocketHandlers): Socket {
  const ws = new WebSocket(address(service, after))
  let done = false

  const end = (code: number) => {
    if (done) return
    done = true
    clearTimeout(patience)
    ws.close()
    handlers.closed(code)
  }
  const patience = setTimeout(() => end(0), DIAL_TIMEOUT_MS)

  ws.onopen = () => {
    if (done) return
    clearTimeout(patience)
    handlers.opened()
  }
  ws.onmessage = (message: MessageEvent<unknown>) => {
    if (done) return
    const event = parse(message.data)
    if (event) handlers.message(event)
  }
  ws.onclose = (event) => end(event.code)

  return {
    drop: () => {
      done = true
      clearTimeout(patience)
      ws.close()
    },
  }
}

function parse(data: unknown): LiveEvent | null {
  if (typeof data !== 'string') return null
  try {
    const value: unknown = JSON.parse(data)
    return isLiveEvent(value) ? value : null
  } catch {
    return null
  }
}
