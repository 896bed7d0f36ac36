import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'

import { ApiError, setUnauthorizedListener } from './client'
import { RedisServiceAPI } from './RedisServiceAPI'
import type { Permission, Session } from './schema'

/** Where the person stands: not asked yet, nobody, somebody, somebody whose session ended, or the API gave no answer. */
export type SessionState = 'unasked' | 'anonymous' | 'signed-in' | 'expired' | 'unreachable'

/** Who uses the panel and what the server lets them do. */
export const useSession = defineStore('session', () => {
  const state = ref<SessionState>('unasked')
  const session = shallowRef<Session | null>(null)

  const user = computed(() => session.value?.user ?? null)
  const may = (permission: Permission) =>
    state.value === 'signed-in' && (session.value?.permissions.includes(permission) ?? false)
  const rolesFor = (permission: Permission) => session.value?.required_roles[permission] ?? []

  // An answer to what was asked before the sign-in says nothing about the session of now.
  let signedInAt = 0
  setUnauthorizedListener((sentAt) => {
    if (state.value === 'signed-in' && sentAt >= signedInAt) state.value = 'expired'
  })

  /** Asks the server who this is. Never throws: the answer is in `state`. */
  async function load(): Promise<void> {
    try {
      session.value = await RedisServiceAPI.me()
      state.value = 'signed-in'
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        if (state.value === 'unasked' || state.value === 'unreachable') state.value = 'anonymous'
      } else if (state.value === 'unasked') {
        state.value = 'unreachable'
      }
    }
  }

  /** Throws ApiError when the server refuses. */
  async function signIn(email: string, password: string): Promise<void> {
    session.value = await RedisServiceAPI.signIn(email, password)
    signedInAt = Date.now()
    state.value = 'signed-in'
  }

  /** Throws ApiError when the server could not be told; the session then still exists there. */
  async function signOut(): Promise<void> {
    await RedisServiceAPI.signOut()
    session.value = null
    state.value = 'anonymous'
  }

  return { state, user, may, rolesFor, load, signIn, signOut }
})
