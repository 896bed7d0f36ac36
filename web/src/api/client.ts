import { learnServerTime } from './clock'
import type { Problem } from './schema'

/** Why a call failed: no answer at all, no answer in time, an error answer, or an answer that is not the API's. */
export type Failure = 'network' | 'timeout' | 'http' | 'shape'

/** A failed call. `message` is fit to be shown; `cause` keeps what the browser said. */
export class ApiError extends Error {
  constructor(
    readonly kind: Failure,
    message: string,
    readonly status = 0,
    readonly problem: Problem | null = null,
    readonly retryAfterSeconds: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'ApiError'
  }

  /** The server was not reached, or something other than the API answered for it. */
  get unreachable(): boolean {
    return this.kind !== 'http' || this.status === 502 || this.status === 504
  }
}

export interface CallOptions {
  body?: unknown
  timeoutMs?: number
  signal?: AbortSignal
  idempotencyKey?: string
}

type UnauthorizedListener = (sentAt: number) => void
let onUnauthorized: UnauthorizedListener = () => undefined

/** Sets who is told when the server says that the session is over, with the moment at which it was asked. */
export function setUnauthorizedListener(listener: UnauthorizedListener): void {
  onUnauthorized = listener
}

const DEFAULT_TIMEOUT_MS = 5000

/** Sends one request and returns the JSON answer. Throws ApiError, and nothing else. Never repeats a request. */
export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  const sentAt = Date.now()
  const response = await send(method, path, options)
  learnServerTime(response.headers.get('Date'), sentAt, Date.now())
  const body = await readJson(response)
  if (response.ok) return body as T
  if (response.status === 401 && !path.startsWith('/api/auth/login')) onUnauthorized(sentAt)
  throw problemError(response, body as Problem | null)
}

async function send(method: string, path: string, options: CallOptions): Promise<Response> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const deadline = AbortSignal.timeout(timeoutMs)
  try {
    return await fetch(path, {
      method,
      headers: headersFor(method, options),
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
      signal: options.signal ? AbortSignal.any([deadline, options.signal]) : deadline,
    })
  } catch (cause) {
    if (deadline.aborted) {
      throw new ApiError('timeout', `No answer within ${Math.round(timeoutMs / 1000)} s.`, 0, null, null, { cause })
    }
    throw new ApiError('network', 'The control API cannot be reached.', 0, null, null, { cause })
  }
}

function headersFor(method: string, options: CallOptions): Record<string, string> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (options.body !== undefined) headers['Content-Type'] = 'application/json'
  if (method !== 'GET') headers['X-Requested-With'] = 'redis-medic-panel'
  if (options.idempotencyKey) headers['Idempotency-Key'] = options.idempotencyKey
  return headers
}

async function readJson(response: Response): Promise<unknown> {
  if (response.status === 204) return null
  try {
    return (await response.json()) as unknown
  } catch (cause) {
    // A proxy's error page, or an answer that broke off: the API always speaks JSON.
    const said = `Something other than the control API answered (HTTP ${response.status}).`
    throw new ApiError('shape', said, response.status, null, null, { cause })
  }
}

function problemError(response: Response, problem: Problem | null): ApiError {
  const words = problem?.detail ?? problem?.message ?? problem?.error ?? `The control API answered HTTP ${response.status}.`
  const header = Number(response.headers.get('Retry-After') ?? NaN)
  const retryAfter = Number.isFinite(header) ? header : (problem?.retry_after_seconds ?? null)
  return new ApiError('http', words, response.status, problem, retryAfter)
}

/** A key that makes a repeated request harmless. crypto.randomUUID exists only on secure origins, this works on all. */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
}

/** "?a=1&b=2", without what has no value; empty when nothing has one. */
export function query(params: Record<string, string | number | undefined>): string {
  const set = Object.entries(params).filter(([, v]) => v !== undefined && v !== '')
  return set.length === 0 ? '' : `?${new URLSearchParams(set.map(([k, v]) => [k, String(v)])).toString()}`
}
