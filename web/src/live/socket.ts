const DIAL_TIMEOUT_MS = 8_000

/** The server's close codes for a session that ended and for a role that changed. */
export const SIGNED_OUT = 4401
export const ROLE_CHANGED = 4403

export interface SocketHandlers {
  opened: () => void
  /** A message that is JSON; any other is passed over. */
  message: (value: unknown) => void
  /** Called once, when the socket ends or could not be opened, with the server's code or 0. */
  closed: (code: number) => void
}

/** One connection that only listens. It does not reconnect: that is decided where the timetable is. */
export interface Socket {
  /** Ends the connection without calling a handler. */
  drop: () => void
}

/** Connects to a stream of the server; `path` is from the root, with its parameters. */
export function dial(path: string, handlers: SocketHandlers): Socket {
  const ws = new WebSocket(location.origin.replace(/^http/, 'ws') + path)
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
    const value = parse(message.data)
    if (value !== undefined) handlers.message(value)
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

function parse(data: unknown): unknown {
  if (typeof data !== 'string') return undefined
  try {
    return JSON.parse(data) as unknown
  } catch {
    return undefined
  }
}
