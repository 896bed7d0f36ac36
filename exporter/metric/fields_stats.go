package metric

const (
	micro = 1e-6
	milli = 1e-3
)

var statsFields = []Field{
	counter("total_connections_received", "connections_received_total", "Connections accepted."),
	counter("total_commands_processed", "commands_processed_total", "Commands processed."),
	counter("rejected_connections", "rejected_connections_total", "Connections refused because of maxclients."),
	counter("total_net_input_bytes", "net_input_bytes_total", "Bytes received."),
	counter("total_net_output_bytes", "net_output_bytes_total", "Bytes sent."),
	counter("total_net_repl_input_bytes", "net_repl_input_bytes_total", "Bytes received for replication."),
	counter("total_net_repl_output_bytes", "net_repl_output_bytes_total", "Bytes sent for replication."),
	counter("expired_keys", "expired_keys_total", "Keys that expired."),
	counter("expired_subkeys", "expired_subkeys_total", "Fields of hashes that expired."),
	gauge("expired_stale_perc", "expired_stale_percentage", "Estimated share of keys that have expired but are still there, in percent."),
	counter("expired_time_cap_reached_count", "expired_time_cap_reached_total", "Expiry cycles that ran out of time."),
	counter("expire_cycle_cpu_milliseconds", "expire_cycle_cpu_time_ms_total", "CPU time of expiry cycles, in milliseconds."),
	counter("evicted_keys", "evicted_keys_total", "Keys evicted because of maxmemory."),
	counter("evicted_clients", "evicted_clients_total", "Clients evicted because of maxmemory-clients."),
	counter("evicted_scripts", "evicted_scripts_total", "Scripts evicted from the cache."),
	counter("total_eviction_exceeded_time", "eviction_exceeded_time_ms_total", "Time above maxmemory, in milliseconds."),
	gauge("current_eviction_exceeded_time", "current_eviction_exceeded_time_ms", "Time above maxmemory so far, in milliseconds."),
	counter("keyspace_hits", "keyspace_hits_total", "Keys that were looked up and found."),
	counter("keyspace_misses", "keyspace_misses_total", "Keys that were looked up and not found."),
	counter("eventloop_cycles", "eventloop_cycles_total", "Cycles of the event loop."),
	counter("eventloop_duration_sum", "eventloop_duration_sum_usec_total", "Time spent in the event loop, in microseconds."),
	counter("eventloop_duration_cmd_sum", "eventloop_duration_cmd_sum_usec_total", "Time the event loop spent on commands, in microseconds."),
	gauge("instantaneous_eventloop_cycles_per_sec", "instantaneous_eventloop_cycles_per_sec", "Cycles of the event loop per second."),
	gauge("instantaneous_eventloop_duration_usec", "instantaneous_eventloop_duration_usec", "Mean time of a cycle of the event loop, in microseconds."),
	gauge("pubsub_channels", "pubsub_channels", "Channels with subscribers."),
	gauge("pubsub_patterns", "pubsub_patterns", "Patterns with subscribers."),
	gauge("pubsubshard_channels", "pubsubshard_channels", "Shard channels with subscribers."),
	gauge("latest_fork_usec", "latest_fork_seconds", "How long the last fork took.").times(micro),
	counter("total_forks", "forks_total", "Forks since Redis was started."),
	gauge("migrate_cached_sockets", "migrate_cached_sockets_total", "Sockets kept open for MIGRATE."),
	gauge("slave_expires_tracked_keys", "slave_expires_tracked_keys", "Keys with an expiry time that a writable replica tracks."),
	gauge("active_defrag_hits", "defrag_hits", "Values moved by active defragmentation."),
	gauge("active_defrag_misses", "defrag_misses", "Values looked at and not moved by active defragmentation."),
	gauge("active_defrag_key_hits", "defrag_key_hits", "Keys moved by active defragmentation."),
	gauge("active_defrag_key_misses", "defrag_key_misses", "Keys looked at and not moved by active defragmentation."),
	counter("total_active_defrag_time", "active_defrag_seconds_total", "Time above the threshold of active defragmentation.").times(milli),
	gauge("current_active_defrag_time", "current_active_defrag_seconds", "Time above the threshold of active defragmentation so far.").times(milli),
	gauge("tracking_total_keys", "tracking_total_keys", "Keys tracked for client-side caching."),
	gauge("tracking_total_items", "tracking_total_items", "Clients per tracked key, added up."),
	gauge("tracking_total_prefixes", "tracking_total_prefixes", "Prefixes tracked for client-side caching."),
	counter("unexpected_error_replies", "unexpected_error_replies", "Error replies that should not occur."),
	counter("total_error_replies", "total_error_replies", "Error replies."),
	counter("dump_payload_sanitizations", "dump_payload_sanitizations", "Payloads that were checked in depth on loading."),
	counter("total_reads_processed", "total_reads_processed", "Reads from sockets."),
	counter("total_writes_processed", "total_writes_processed", "Writes to sockets."),
	counter("io_threaded_reads_processed", "io_threaded_reads_processed", "Reads by I/O threads."),
	counter("io_threaded_writes_processed", "io_threaded_writes_processed", "Writes by I/O threads."),
	counter("client_query_buffer_limit_disconnections", "client_query_buffer_limit_disconnections_total", "Clients disconnected because of their query buffer."),
	counter("client_output_buffer_limit_disconnections", "client_output_buffer_limit_disconnections_total", "Clients disconnected because of their output buffer."),
	counter("reply_buffer_shrinks", "reply_buffer_shrinks_total", "Times that a reply buffer was made smaller."),
	counter("reply_buffer_expands", "reply_buffer_expands_total", "Times that a reply buffer was made bigger."),
	counter("acl_access_denied_auth", "acl_access_denied_auth_total", "Logins refused."),
	counter("acl_access_denied_cmd", "acl_access_denied_cmd_total", "Commands refused by ACL."),
	counter("acl_access_denied_key", "acl_access_denied_key_total", "Keys refused by ACL."),
	counter("acl_access_denied_channel", "acl_access_denied_channel_total", "Channels refused by ACL."),
}

var replicationFields = []Field{
	gauge("connected_slaves", "connected_slaves", "Replicas that are connected."),
	gauge("min_slaves_good_slaves", "min_slaves_good_slaves", "Replicas that count for min-replicas-to-write."),
	gauge("master_repl_offset", "master_repl_offset", "The replication offset of this server."),
	gauge("second_repl_offset", "second_repl_offset", "Up to which offset the previous replication id is good.").orNever(),
	gauge("repl_backlog_active", "repl_backlog_is_active", "Whether there is a replication backlog."),
	gauge("repl_backlog_size", "replication_backlog_bytes", "Size of the replication backlog."),
	gauge("repl_backlog_first_byte_offset", "repl_backlog_first_byte_offset", "Offset of the first byte in the replication backlog."),
	gauge("repl_backlog_histlen", "repl_backlog_history_bytes", "Bytes of data in the replication backlog."),
	gauge("slave_priority", "slave_priority", "Priority of the replica in a failover."),
	gauge("sync_full", "replica_resyncs_full", "Full synchronisations of replicas."),
	gauge("sync_partial_ok", "replica_partial_resync_accepted", "Partial synchronisations that were accepted."),
	gauge("sync_partial_err", "replica_partial_resync_denied", "Partial synchronisations that were denied."),
	gauge("master_sync_total_bytes", "master_sync_total_bytes", "Bytes that the synchronisation in progress has to transfer."),
	gauge("master_sync_read_bytes", "master_sync_read_bytes", "Bytes that the synchronisation in progress has transferred."),
	gauge("master_sync_left_bytes", "master_sync_left_bytes", "Bytes that the synchronisation in progress has left to transfer.").orNever(),
}

var cpuFields = []Field{
	counter("used_cpu_sys", "cpu_sys_seconds_total", "CPU time of Redis in the kernel."),
	counter("used_cpu_user", "cpu_user_seconds_total", "CPU time of Redis in user mode."),
	counter("used_cpu_sys_children", "cpu_sys_children_seconds_total", "CPU time of child processes in the kernel."),
	counter("used_cpu_user_children", "cpu_user_children_seconds_total", "CPU time of child processes in user mode."),
	counter("used_cpu_sys_main_thread", "cpu_sys_main_thread_seconds_total", "CPU time of the main thread in the kernel."),
	counter("used_cpu_user_main_thread", "cpu_user_main_thread_seconds_total", "CPU time of the main thread in user mode."),
	counter("used_active_time_main_thread", "active_time_main_thread_seconds_total", "Time that the main thread was active (Valkey)."),
}

// clusterFields come from INFO and, where the cluster is on, from CLUSTER INFO.
var clusterFields = func() []Field {
	f := []Field{
		gauge("cluster_enabled", "cluster_enabled", "Whether the server is part of a cluster."),
		gauge("cluster_state", "cluster_state", "Whether the cluster works, as this node sees it."),
		gauge("cluster_slots_assigned", "cluster_slots_assigned", "Slots that are assigned to a node."),
		gauge("cluster_slots_ok", "cluster_slots_ok", "Slots whose node works."),
		gauge("cluster_slots_pfail", "cluster_slots_pfail", "Slots whose node may have failed."),
		gauge("cluster_slots_fail", "cluster_slots_fail", "Slots whose node has failed."),
		gauge("cluster_known_nodes", "cluster_known_nodes", "Nodes of the cluster that are known."),
		gauge("cluster_size", "cluster_size", "Masters that have slots."),
		gauge("cluster_current_epoch", "cluster_current_epoch", "The epoch of the cluster."),
		gauge("cluster_my_epoch", "cluster_my_epoch", "The configuration epoch of this node."),
		gauge("cluster_stats_messages_sent", "cluster_messages_sent_total", "Messages sent over the cluster bus."),
		gauge("cluster_stats_messages_received", "cluster_messages_received_total", "Messages received over the cluster bus."),
	}
	for _, kind := range []struct{ key, name string }{
		{"ping", "ping"}, {"pong", "pong"}, {"meet", "meet"}, {"fail", "fail"}, {"publish", "publish"}, {"publishshard", "publishshard"},
		{"auth-req", "auth_req"}, {"auth-ack", "auth_ack"}, {"update", "update"}, {"mfstart", "mfstart"}, {"module", "module"},
	} {
		for _, way := range []string{"sent", "received"} {
			f = append(f, gauge("cluster_stats_messages_"+kind.key+"_"+way, "cluster_stats_messages_"+kind.name+"_"+way,
				"Messages of the type "+kind.key+" "+way+" over the cluster bus."))
		}
	}
	return f
}()

var sentinelFields = []Field{
	gauge("sentinel_masters", "sentinel_masters", "Masters that this Sentinel watches."),
	gauge("sentinel_tilt", "sentinel_tilt", "Whether this Sentinel is in TILT mode."),
	gauge("sentinel_running_scripts", "sentinel_running_scripts", "Notification scripts that run."),
	gauge("sentinel_scripts_queue_length", "sentinel_scripts_queue_length", "Notification scripts that wait."),
	gauge("sentinel_simulate_failure_flags", "sentinel_simulate_failure_flags", "Failures that this Sentinel was told to simulate."),
}

var keydbFields = []Field{
	gauge("server_threads", "server_threads_total", "Server threads (KeyDB)."),
	gauge("long_lock_waits", "long_lock_waits_total", "Long waits for a lock (KeyDB)."),
	gauge("current_client_thread", "current_client_thread", "The thread that serves this client (KeyDB)."),
	counter("cached_keys", "cached_keys_total", "Keys in the cache (KeyDB)."),
	counter("storage_provider_read_hits", "storage_provider_read_hits", "Reads that the storage provider answered (KeyDB)."),
	counter("storage_provider_read_misses", "storage_provider_read_misses", "Reads that the storage provider could not answer (KeyDB)."),
}

// moduleFields come from the modules' own sections, where they are asked for.
func moduleFields() []Field {
	var f []Field
	for _, g := range []string{
		"search_number_of_indexes", "search_used_memory_indexes:search_used_memory_indexes_bytes", "search_dialect_1", "search_dialect_2",
		"search_dialect_3", "search_dialect_4", "search_global_idle", "search_global_total",
		"search_bytes_collected:search_collected_bytes", "search_number_of_active_indexes",
		"search_number_of_active_indexes_running_queries", "search_number_of_active_indexes_indexing", "search_total_active_write_threads",
		"search_total_num_docs_in_indexes", "search_smallest_memory_index:search_smallest_memory_index_bytes",
		"search_largest_memory_index:search_largest_memory_index_bytes", "search_used_memory_vector_index:search_used_memory_vector_index_bytes",
		"search_global_idle_user", "search_global_idle_internal", "search_global_total_user", "search_global_total_internal",
		"search_gc_bytes_collected:search_gc_collected_bytes", "search_gc_total_docs_not_collected", "search_gc_marked_deleted_vectors",
		"search_errors_indexing_failures", "bf_bloom_total_memory_bytes", "bf_bloom_num_objects", "bf_bloom_num_filters_across_objects",
		"bf_bloom_num_items_across_objects", "bf_bloom_capacity_across_objects", "json_total_memory_bytes", "json_num_documents",
		"search_used_memory_bytes", "search_number_of_attributes", "search_total_indexed_documents", "search_query_queue_size",
		"search_writer_queue_size", "search_string_interning_store_size", "search_vector_externing_hash_extern_errors",
		"search_vector_externing_num_lru_entries",
	} {
		f = append(f, module(gauge, g))
	}
	for _, c := range []string{
		"search_total_indexing_time:search_indexing_time_ms_total", "search_total_cycles:search_cycles_total",
		"search_total_ms_run:search_run_ms_total", "search_gc_total_cycles:search_gc_cycles_total", "search_gc_total_ms_run:search_gc_run_ms_total",
		"search_total_queries_processed:search_queries_processed_total", "search_total_query_commands:search_query_commands_total",
		"search_total_query_execution_time_ms:search_query_execution_time_ms_total", "search_total_active_queries:search_active_queries_total",
		"bf_bloom_defrag_hits:bf_bloom_defrag_hits_total", "bf_bloom_defrag_misses:bf_bloom_defrag_misses_total",
		"search_worker_pool_suspend_cnt:search_worker_pool_suspend_count", "search_writer_resumed_cnt:search_writer_resumed_count",
		"search_reader_resumed_cnt:search_reader_resumed_count", "search_writer_suspension_expired_cnt:search_writer_suspension_expired_count",
		"search_rdb_load_success_cnt:search_rdb_load_success_count", "search_rdb_load_failure_cnt:search_rdb_load_failure_count",
		"search_rdb_save_success_cnt:search_rdb_save_success_count", "search_rdb_save_failure_cnt:search_rdb_save_failure_count",
		"search_successful_requests_count", "search_failure_requests_count", "search_hybrid_requests_count",
		"search_inline_filtering_requests_count", "search_hnsw_add_exceptions_count", "search_hnsw_remove_exceptions_count",
		"search_hnsw_modify_exceptions_count", "search_hnsw_search_exceptions_count", "search_hnsw_create_exceptions_count",
		"search_vector_externing_entry_count", "search_vector_externing_generated_value_cnt:search_vector_externing_generated_value_count",
		"search_vector_externing_lru_promote_cnt:search_vector_externing_lru_promote_count",
		"search_vector_externing_deferred_entry_cnt:search_vector_externing_deferred_entry_count",
	} {
		f = append(f, module(counter, c))
	}
	return f
}
