// The colour theme: the system's, unless the reader chose another.

export type Theme = 'system' | 'light' | 'dark'
export const THEMES: readonly Theme[] = ['system', 'light', 'dark']

const KEY = 'redis-medic.theme'

export function storedTheme(): Theme {
  try {
    const found = THEMES.find((t) => t === localStorage.getItem(KEY))
    return found ?? 'system'
  } catch {
    // Storage may be forbidden; the theme is then the system's.
    return 'system'
  }
}

export function applyTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

export function chooseTheme(theme: Theme): void {
  applyTheme(theme)
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // The choice then lasts until the page is closed.
  }
}
