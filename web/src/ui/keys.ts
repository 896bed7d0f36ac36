// Which key does what. Pure.

import { PAGES } from './pages'

interface Pressed {
  key: string
  ctrlKey: boolean
  metaKey: boolean
  altKey: boolean
}

export type KeyStep =
  | { does: 'nothing' | 'list' | 'refresh'; pending: boolean }
  | { does: 'go'; page: string; pending: boolean }

/** `pending` is true after g. While somebody types or a dialog is open (`occupied`), keys belong to that. */
export function keyStep(event: Pressed, pending: boolean, occupied: boolean): KeyStep {
  const nothing: KeyStep = { does: 'nothing', pending: false }
  if (occupied || event.ctrlKey || event.metaKey || event.altKey) return nothing
  if (pending) {
    const page = PAGES.find((p) => p.key === event.key)
    return page ? { does: 'go', page: page.name, pending: false } : nothing
  }
  switch (event.key) {
    case 'g':
      return { does: 'nothing', pending: true }
    case 'r':
      return { does: 'refresh', pending: false }
    case '?':
      return { does: 'list', pending: false }
  }
  return nothing
}
