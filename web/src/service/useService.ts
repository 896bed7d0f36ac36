import { useQuery } from '@tanstack/vue-query'
import { computed, type ComputedRef, type Ref } from 'vue'
import { useRoute } from 'vue-router'

import { RedisServiceAPI } from '@/api/RedisServiceAPI'
import type { ApiError } from '@/api/client'
import type { ServicePage, ServiceRecord } from '@/api/schema'
import { recall } from '@/live/memory'

/** The configured services. They change only with the configuration, so they are not asked for often. */
export function useServices(refetchInterval: number | false = false): {
  data: Ref<ServicePage | undefined>
  error: Ref<ApiError | null>
  dataUpdatedAt: Ref<number>
  refetch: () => unknown
} {
  return useQuery<ServicePage, ApiError>({
    queryKey: ['services'], queryFn: RedisServiceAPI.services, staleTime: 60_000, refetchInterval,
  })
}

/** What is known of a service: all of it, or what this browser remembers. */
export type KnownService = Pick<ServiceRecord, 'id' | 'name'> & Partial<ServiceRecord>

/** The service of the present page: what the list of services says of it, its id while that is not known. */
export function useService(): { id: ComputedRef<string>; record: ComputedRef<KnownService>; name: ComputedRef<string> } {
  const route = useRoute()
  const services = useServices()
  const id = computed(() => String(route.params.id ?? ''))
  const record = computed<KnownService>(
    () => services.data.value?.records.find((r) => r.id === id.value) ?? remembered(id.value),
  )
  return { id, record, name: computed(() => record.value.name || id.value) }
}

function remembered(id: string): KnownService {
  const m = recall(id)
  return { id, name: m?.name || id, ...(m ? { host: m.host, unit: m.unit } : {}) }
}
