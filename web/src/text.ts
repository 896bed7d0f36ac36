// Sentences that come from the server, made fit to stand alone. Pure.

/** With a capital, unless it begins with a name as "systemd" or "redis-server.service". */
export function capital(text: string): string {
  const first = text.split(/[\s:,]/, 1)[0] ?? ''
  const isName = !/^\p{Ll}[\p{Ll}']*$/u.test(first) || first === 'systemd' || first === 'sshd'
  return isName ? text : text.charAt(0).toUpperCase() + text.slice(1)
}

/** With a capital and a full stop. */
export function sentence(text: string): string {
  return capital(/[.!?]$/.test(text) ? text : `${text}.`)
}
