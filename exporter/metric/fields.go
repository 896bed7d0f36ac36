package metric

// Field is an INFO field that is one sample without labels.
type Field struct {
	Key   string // the field's name in INFO or CLUSTER INFO
	Name  string
	Type  Type
	Scale float64 // the value is multiplied by it
	Help  string
	// NotNegative leaves the sample out while Redis says -1 for "never" or "not now".
	NotNegative bool
}

func (f Field) desc() Desc { return Desc{Name: f.Name, Help: f.Help, Type: f.Type} }

// gauge and counter make fields whose value is taken as it is.
func gauge(key, name, help string) Field {
	return Field{Key: key, Name: "redis_" + name, Type: Gauge, Scale: 1, Help: help}
}

func counter(key, name, help string) Field {
	return Field{Key: key, Name: "redis_" + name, Type: Counter, Scale: 1, Help: help}
}

// times changes the unit.
func (f Field) times(scale float64) Field { f.Scale = scale; return f }

// orNever marks a field in which Redis says -1 for "never" or "not now".
func (f Field) orNever() Field { f.NotNegative = true; return f }

// Fields lists every INFO field that is one sample. The slice is the caller's.
func Fields() []Field {
	var all []Field
	for _, part := range [][]Field{
		serverFields, clientFields, memoryFields, persistenceFields, statsFields, replicationFields, cpuFields, clusterFields,
		sentinelFields, keydbFields, moduleFields(),
	} {
		all = append(all, part...)
	}
	return all
}

var serverFields = []Field{
	gauge("uptime_in_seconds", "uptime_in_seconds", "Seconds since Redis was started."),
	gauge("process_id", "process_id", "The process id of Redis."),
	gauge("hz", "hz", "How often per second background tasks run now."),
	gauge("configured_hz", "configured_hz", "How often per second background tasks run as configured."),
	gauge("io_threads_active", "io_threads_active", "Whether I/O threads are active."),
}

var clientFields = []Field{
	gauge("connected_clients", "connected_clients", "Connected clients, replicas excluded."),
	gauge("blocked_clients", "blocked_clients", "Clients that wait in a blocking command."),
	gauge("maxclients", "max_clients", "The most clients that may be connected: maxclients less what Redis needs itself."),
	gauge("cluster_connections", "cluster_connections", "Sockets used by the cluster bus."),
	gauge("tracking_clients", "tracking_clients", "Clients with client-side caching."),
	gauge("clients_in_timeout_table", "clients_in_timeout_table", "Clients whose blocking command has a timeout."),
	gauge("pubsub_clients", "pubsub_clients", "Clients in publish/subscribe mode."),
	gauge("watching_clients", "watching_clients", "Clients with watched keys."),
	gauge("total_watched_keys", "total_watched_keys", "Keys that clients watch."),
	gauge("total_blocking_keys", "total_blocking_keys", "Keys that blocked clients wait for."),
	gauge("total_blocking_keys_on_nokey", "total_blocking_keys_on_nokey", "Keys whose deletion would wake a blocked client."),
	gauge("client_longest_output_list", "client_longest_output_list", "The longest output list of a client (Redis before 5)."),
	gauge("client_biggest_input_buf", "client_biggest_input_buf", "The biggest input buffer of a client (Redis before 5)."),
	gauge("client_recent_max_output_buffer", "client_recent_max_output_buffer_bytes", "The biggest output buffer of a client of late."),
	gauge("client_recent_max_input_buffer", "client_recent_max_input_buffer_bytes", "The biggest input buffer of a client of late."),
}

var memoryFields = []Field{
	gauge("used_memory", "memory_used_bytes", "Memory that Redis has allocated."),
	gauge("used_memory_rss", "memory_used_rss_bytes", "Memory of Redis as the operating system sees it."),
	gauge("used_memory_peak", "memory_used_peak_bytes", "The most memory that Redis had allocated since it was started."),
	gauge("used_memory_overhead", "memory_used_overhead_bytes", "Memory for the server's own structures."),
	gauge("used_memory_startup", "memory_used_startup_bytes", "Memory that Redis had allocated when it was started."),
	gauge("used_memory_dataset", "memory_used_dataset_bytes", "Memory for the data set."),
	gauge("used_memory_lua", "memory_used_lua_bytes", "Memory of the Lua engine."),
	gauge("used_memory_vm_eval", "memory_used_vm_eval_bytes", "Memory of the script engine for EVAL."),
	gauge("used_memory_scripts_eval", "memory_used_scripts_eval_bytes", "Memory for the text of scripts of EVAL."),
	gauge("number_of_cached_scripts", "number_of_cached_scripts", "Scripts of EVAL in the cache."),
	gauge("number_of_functions", "number_of_functions", "Functions that are loaded."),
	gauge("number_of_libraries", "number_of_libraries", "Libraries of functions that are loaded."),
	gauge("used_memory_vm_functions", "memory_used_vm_functions_bytes", "Memory of the script engine for functions."),
	gauge("used_memory_vm_total", "memory_used_vm_total", "Memory of all script engines, in bytes."),
	gauge("used_memory_functions", "memory_used_functions_bytes", "Memory for the text of functions."),
	gauge("used_memory_scripts", "memory_used_scripts_bytes", "Memory for the text of scripts and functions."),
	gauge("total_system_memory", "total_system_memory_bytes", "Memory of the host."),
	gauge("maxmemory", "memory_max_bytes", "The limit maxmemory; 0 for none."),
	gauge("maxmemory_reservation", "memory_max_reservation_bytes", "Memory reserved for other uses (Azure)."),
	gauge("maxmemory_desired_reservation", "memory_max_reservation_desired_bytes", "Memory wanted for other uses (Azure)."),
	gauge("maxfragmentationmemory_reservation", "memory_max_fragmentation_reservation_bytes", "Memory reserved for fragmentation (Azure)."),
	gauge("maxfragmentationmemory_desired_reservation", "memory_max_fragmentation_reservation_desired_bytes", "Memory wanted for fragmentation (Azure)."),
	gauge("mem_fragmentation_ratio", "mem_fragmentation_ratio", "Resident memory divided by allocated memory."),
	gauge("mem_fragmentation_bytes", "mem_fragmentation_bytes", "Resident memory less allocated memory."),
	gauge("rss_overhead_ratio", "rss_overhead_ratio", "Resident memory divided by what the allocator holds resident."),
	gauge("rss_overhead_bytes", "rss_overhead_bytes", "Resident memory less what the allocator holds resident."),
	gauge("mem_clients_slaves", "mem_clients_slaves", "Memory for replicas, in bytes."),
	gauge("mem_clients_normal", "mem_clients_normal", "Memory for clients, in bytes."),
	gauge("mem_cluster_links", "mem_cluster_links_bytes", "Memory for links of the cluster bus."),
	gauge("mem_aof_buffer", "mem_aof_buffer_bytes", "Memory for buffers of the append-only file."),
	gauge("mem_replication_backlog", "mem_replication_backlog_bytes", "Memory for the replication backlog."),
	gauge("mem_not_counted_for_evict", "mem_not_counted_for_eviction_bytes", "Memory that does not count for eviction."),
	gauge("mem_total_replication_buffers", "mem_total_replication_buffers_bytes", "Memory for all replication buffers."),
	gauge("mem_overhead_db_hashtable_rehashing", "mem_overhead_db_hashtable_rehashing_bytes", "Memory for hash tables that are being moved."),
	gauge("allocator_active", "allocator_active_bytes", "Bytes in pages that the allocator uses."),
	gauge("allocator_allocated", "allocator_allocated_bytes", "Bytes that were asked of the allocator."),
	gauge("allocator_resident", "allocator_resident_bytes", "Bytes that the allocator holds resident."),
	gauge("allocator_muzzy", "allocator_muzzy_bytes", "Bytes that the allocator has given back, but the system has not yet taken."),
	gauge("allocator_frag_ratio", "allocator_frag_ratio", "Active bytes of the allocator divided by allocated ones."),
	gauge("allocator_frag_bytes", "allocator_frag_bytes", "Active bytes of the allocator less allocated ones."),
	gauge("allocator_rss_ratio", "allocator_rss_ratio", "Resident bytes of the allocator divided by active ones."),
	gauge("allocator_rss_bytes", "allocator_rss_bytes", "Resident bytes of the allocator less active ones."),
	gauge("lazyfree_pending_objects", "lazyfree_pending_objects", "Objects that wait to be freed in the background."),
	gauge("lazyfreed_objects", "lazyfreed_objects", "Objects that were freed in the background."),
	gauge("active_defrag_running", "active_defrag_running", "CPU share that active defragmentation may use now, in percent; 0 while it rests."),
}

var persistenceFields = []Field{
	gauge("loading", "loading_dump_file", "Whether Redis is loading its data set."),
	gauge("async_loading", "async_loading", "Whether a replica loads a data set while it serves the old one."),
	gauge("loading_start_time", "loading_start_timestamp_seconds", "When loading began, in seconds since the epoch."),
	gauge("loading_total_bytes", "loading_total_bytes", "Size of the file that is being loaded."),
	gauge("loading_loaded_bytes", "loading_loaded_bytes", "How much of the file has been loaded."),
	gauge("loading_loaded_perc", "loading_loaded_ratio", "The share of the file that has been loaded.").times(0.01),
	gauge("loading_eta_seconds", "loading_eta_seconds", "Seconds until loading is expected to end.").orNever(),
	gauge("rdb_changes_since_last_save", "rdb_changes_since_last_save", "Changes that are not saved in a snapshot."),
	gauge("rdb_bgsave_in_progress", "rdb_bgsave_in_progress", "Whether a snapshot is being saved."),
	gauge("rdb_last_save_time", "rdb_last_save_timestamp_seconds", "When a snapshot was last saved, in seconds since the epoch."),
	gauge("rdb_last_bgsave_status", "rdb_last_bgsave_status", "Whether the last snapshot was saved."),
	gauge("rdb_last_bgsave_time_sec", "rdb_last_bgsave_duration_sec", "Seconds that saving the last snapshot took.").orNever(),
	gauge("rdb_current_bgsave_time_sec", "rdb_current_bgsave_duration_sec", "Seconds since the snapshot in progress was begun.").orNever(),
	gauge("rdb_saves", "rdb_saves_total", "Snapshots saved since Redis was started."),
	gauge("rdb_last_cow_size", "rdb_last_cow_size_bytes", "Memory copied on write during the last snapshot."),
	gauge("rdb_last_load_keys_expired", "rdb_last_load_expired_keys", "Expired keys dropped when the data set was loaded."),
	gauge("rdb_last_load_keys_loaded", "rdb_last_load_loaded_keys", "Keys loaded when the data set was loaded."),
	gauge("current_cow_size", "current_cow_size_bytes", "Memory copied on write by the child process that runs now."),
	gauge("current_cow_peak", "current_cow_peak_bytes", "The most memory copied on write by the child process that runs now."),
	gauge("current_fork_perc", "current_fork_ratio", "How much of its work the child process that runs now has done.").times(0.01),
	gauge("current_save_keys_processed", "current_save_keys_processed", "Keys saved by the save in progress."),
	gauge("current_save_keys_total", "current_save_keys", "Keys that the save in progress has to save."),
	gauge("aof_enabled", "aof_enabled", "Whether the append-only file is on."),
	gauge("aof_rewrite_in_progress", "aof_rewrite_in_progress", "Whether the append-only file is being rewritten."),
	gauge("aof_rewrite_scheduled", "aof_rewrite_scheduled", "Whether a rewrite of the append-only file waits for a snapshot."),
	gauge("aof_last_rewrite_time_sec", "aof_last_rewrite_duration_sec", "Seconds that the last rewrite of the append-only file took.").orNever(),
	gauge("aof_current_rewrite_time_sec", "aof_current_rewrite_duration_sec", "Seconds since the rewrite in progress was begun.").orNever(),
	gauge("aof_last_bgrewrite_status", "aof_last_bgrewrite_status", "Whether the last rewrite of the append-only file succeeded."),
	gauge("aof_last_write_status", "aof_last_write_status", "Whether the last write to the append-only file succeeded."),
	gauge("aof_last_cow_size", "aof_last_cow_size_bytes", "Memory copied on write during the last rewrite."),
	gauge("aof_current_size", "aof_current_size_bytes", "Size of the append-only file."),
	gauge("aof_base_size", "aof_base_size_bytes", "Size of the append-only file after its last rewrite."),
	gauge("aof_pending_rewrite", "aof_pending_rewrite", "Whether a rewrite of the append-only file is pending."),
	gauge("aof_buffer_length", "aof_buffer_length", "Bytes that wait to be written to the append-only file."),
	gauge("aof_rewrite_buffer_length", "aof_rewrite_buffer_length", "Bytes that wait for the rewrite in progress (Redis before 7)."),
	gauge("aof_pending_bio_fsync", "aof_pending_bio_fsync", "Syncs of the append-only file that wait in the background."),
	gauge("aof_delayed_fsync", "aof_delayed_fsync", "Writes that were delayed by a slow sync of the append-only file."),
	counter("aof_rewrites", "aof_rewrites_total", "Rewrites of the append-only file since Redis was started."),
	gauge("aof_rewrites_consecutive_failures", "aof_rewrites_consecutive_failures", "Rewrites of the append-only file that failed in a row."),
	gauge("module_fork_in_progress", "module_fork_in_progress", "Whether a module's child process runs."),
	gauge("module_fork_last_cow_size", "module_fork_last_cow_size", "Memory copied on write by a module's last child process, in bytes."),
}
