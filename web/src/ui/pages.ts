/** The pages of one service, in the order of the navigation, each with its key after g. */
export const PAGES = [
  { name: 'now', label: 'Now', key: 'n' },
  { name: 'recovery', label: 'Recovery', key: 'r' },
  { name: 'timeline', label: 'Timeline', key: 't' },
  { name: 'logs', label: 'Logs', key: 'l' },
  { name: 'audit', label: 'Audit', key: 'a' },
] as const
