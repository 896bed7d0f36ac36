// Where to go after the sign-in. It survives the way over an identity provider, which may come back with an error only.

const KEY = 'redis-medic.next'

/** A path of this panel; anything else, which may come from anybody, is the first page. */
export function panelPath(next: unknown): string {
  return typeof next === 'string' && /^\/(?![/\\])/.test(next) && !/^\/signin(?![^?#])/.test(next) ? next : '/'
}

export function rememberNext(next: string): void {
  try {
    sessionStorage.setItem(KEY, next)
  } catch {
    // Without storage the way back leads to the first page.
  }
}

/** What was remembered, once. */
export function recallNext(): string {
  try {
    const next = sessionStorage.getItem(KEY)
    sessionStorage.removeItem(KEY)
    return panelPath(next)
  } catch {
    return '/'
  }
}
