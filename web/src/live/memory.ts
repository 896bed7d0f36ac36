// What this browser last knew of a service, for the page that opens while the control API is away. Nothing of it is ever shown
// as the present state.

export interface Memory {
  name: string
  host: string
  unit: string
  /** The state's word, and when it was true. */
  word: string
  at: number
}

const KEY = 'redis-medic.last.'

export function remember(id: string, memory: Memory): void {
  try {
    localStorage.setItem(KEY + id, JSON.stringify(memory))
  } catch {
    // Storage may be full or forbidden; the page then opens without a last known state.
  }
}

export function recall(id: string): Memory | null {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY + id) ?? 'null')
    return isMemory(found) ? found : null
  } catch {
    return null
  }
}

function isMemory(x: unknown): x is Memory {
  if (typeof x !== 'object' || x === null) return false
  const m = x as Record<string, unknown>
  return ['name', 'host', 'unit', 'word'].every((k) => typeof m[k] === 'string') && typeof m.at === 'number'
}
