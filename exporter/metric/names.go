package metric

// Names of redis_exporter's that rules, dashboards and code of this project refer to. The complete list is All.
const (
	UptimeSeconds           = "redis_uptime_in_seconds"
	StartTime               = "redis_start_time_seconds"
	InstanceInfo            = "redis_instance_info"
	ConnectedClients        = "redis_connected_clients"
	BlockedClients          = "redis_blocked_clients"
	MaxClients              = "redis_max_clients"
	MemoryUsed              = "redis_memory_used_bytes"
	MemoryUsedRSS           = "redis_memory_used_rss_bytes"
	MemoryUsedPeak          = "redis_memory_used_peak_bytes"
	MemoryMax               = "redis_memory_max_bytes"
	MemFragmentationRatio   = "redis_mem_fragmentation_ratio"
	TotalSystemMemory       = "redis_total_system_memory_bytes"
	LoadingDumpFile         = "redis_loading_dump_file"
	RDBChanges              = "redis_rdb_changes_since_last_save"
	RDBBgsaveInProgress     = "redis_rdb_bgsave_in_progress"
	RDBLastSave             = "redis_rdb_last_save_timestamp_seconds"
	RDBLastBgsaveStatus     = "redis_rdb_last_bgsave_status"
	RDBLastBgsaveDuration   = "redis_rdb_last_bgsave_duration_sec"
	AOFEnabled              = "redis_aof_enabled"
	AOFLastRewriteStatus    = "redis_aof_last_bgrewrite_status"
	AOFLastWriteStatus      = "redis_aof_last_write_status"
	AOFCurrentSize          = "redis_aof_current_size_bytes"
	CommandsProcessed       = "redis_commands_processed_total"
	ConnectionsReceived     = "redis_connections_received_total"
	RejectedConnections     = "redis_rejected_connections_total"
	NetInput                = "redis_net_input_bytes_total"
	NetOutput               = "redis_net_output_bytes_total"
	ExpiredKeys             = "redis_expired_keys_total"
	EvictedKeys             = "redis_evicted_keys_total"
	KeyspaceHits            = "redis_keyspace_hits_total"
	KeyspaceMisses          = "redis_keyspace_misses_total"
	LatestFork              = "redis_latest_fork_seconds"
	TotalErrorReplies       = "redis_total_error_replies"
	ConnectedSlaves         = "redis_connected_slaves"
	MasterReplOffset        = "redis_master_repl_offset"
	MasterLinkUp            = "redis_master_link_up"
	MasterLastIO            = "redis_master_last_io_seconds_ago"
	MasterSyncInProgress    = "redis_master_sync_in_progress"
	MasterLinkDownSince     = "redis_master_link_down_since_seconds"
	MasterFailoverState     = "redis_master_failover_state"
	SlaveReplOffset         = "redis_slave_repl_offset"
	SlaveInfo               = "redis_slave_info"
	ConnectedSlaveOffset    = "redis_connected_slave_offset_bytes"
	ConnectedSlaveLag       = "redis_connected_slave_lag_seconds"
	InstanceRole            = "redis_instance_role"
	CPUSys                  = "redis_cpu_sys_seconds_total"
	CPUUser                 = "redis_cpu_user_seconds_total"
	Commands                = "redis_commands_total"
	CommandsDuration        = "redis_commands_duration_seconds_total"
	CommandsFailed          = "redis_commands_failed_calls_total"
	CommandsRejected        = "redis_commands_rejected_calls_total"
	CommandsLatencies       = "redis_commands_latencies_usec"
	LatencyPercentiles      = "redis_latency_percentiles_usec"
	LatencySpikeLast        = "redis_latency_spike_last"
	LatencySpikeDuration    = "redis_latency_spike_duration_seconds"
	Errors                  = "redis_errors_total"
	DBKeys                  = "redis_db_keys"
	DBKeysExpiring          = "redis_db_keys_expiring"
	DBKeysCached            = "redis_db_keys_cached"
	DBAvgTTL                = "redis_db_avg_ttl_seconds"
	SlowlogLength           = "redis_slowlog_length"
	SlowlogLastID           = "redis_slowlog_last_id"
	LastSlowExecution       = "redis_last_slow_execution_duration_seconds"
	ConfigMaxClients        = "redis_config_maxclients"
	ConfigMaxMemory         = "redis_config_maxmemory"
	ConfigIOThreads         = "redis_config_io_threads"
	ConfigReplBacklog       = "redis_config_repl_backlog_size"
	ConfigOutputLimit       = "redis_config_client_output_buffer_limit_bytes"
	ConfigOutputOvercome    = "redis_config_client_output_buffer_limit_overcome_seconds"
	ConfigKeyValue          = "redis_config_key_value"
	ConfigValue             = "redis_config_value"
	ActiveTimeIOThread      = "redis_active_time_io_thread_seconds_total"
	ExporterLastError       = "redis_exporter_last_scrape_error"
	ExporterLastDuration    = "redis_exporter_last_scrape_duration_seconds"
	ExporterLastConnect     = "redis_exporter_last_scrape_connect_time_seconds"
	SentinelMasters         = "redis_sentinel_masters"
	SentinelMasterStatus    = "redis_sentinel_master_status"
	SentinelMasterSlaves    = "redis_sentinel_master_slaves"
	SentinelMasterPeers     = "redis_sentinel_master_sentinels"
	SentinelOKSlaves        = "redis_sentinel_master_ok_slaves"
	SentinelOKPeers         = "redis_sentinel_master_ok_sentinels"
	SentinelCkquorum        = "redis_sentinel_master_ckquorum_status"
	SentinelSetCkquorum     = "redis_sentinel_master_setting_ckquorum"
	SentinelSetDownAfter    = "redis_sentinel_master_setting_down_after_milliseconds"
	SentinelSetFailover     = "redis_sentinel_master_setting_failover_timeout"
	SentinelSetSyncs        = "redis_sentinel_master_setting_parallel_syncs"
	SentinelConfigEpoch     = "redis_sentinel_master_config_epoch"
	SentinelLastOKPing      = "redis_sentinel_master_last_ok_ping_reply_seconds"
	SentinelPeerInfo        = "redis_sentinel_peer_info"
	SentinelConfigKeyValue  = "redis_sentinel_config_key_value"
	SentinelConfigValue     = "redis_sentinel_config_value"
	ClusterState            = "redis_cluster_state"
	ClusterEnabled          = "redis_cluster_enabled"
	CommandlogSlow          = "redis_commandlog_slow_length"
	CommandlogRequest       = "redis_commandlog_large_request_length"
	CommandlogReply         = "redis_commandlog_large_reply_length"
	CommandlogSlowerThan    = "redis_commandlog_execution_slower_than"
	CommandlogSlowMax       = "redis_commandlog_slow_execution_max_len"
	CommandlogRequestLarger = "redis_commandlog_request_larger_than"
	CommandlogRequestMax    = "redis_commandlog_large_request_max_len"
	CommandlogReplyLarger   = "redis_commandlog_reply_larger_than"
	CommandlogReplyMax      = "redis_commandlog_large_reply_max_len"
)

var (
	byCommand = []string{"cmd"}
	byDB      = []string{"db"}
	byMaster  = []string{"master_host", "master_port"}
	bySlave   = []string{"slave_ip", "slave_port", "slave_state"}
	byWatched = []string{"master_name", "master_address"}
)

// laidOut are the families whose values take more than one INFO field, or another command.
var laidOut = []Desc{
	{StartTime, "When Redis was started, in seconds since the epoch.", Gauge, nil},
	{InstanceInfo, "What Redis says of itself. Always 1.", Gauge, []string{
		"role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id", "process_id", "master_replid",
		"valkey_version", "valkey_release_stage",
	}},
	{InstanceRole, "The role of Redis in replication: 1 for the role it has, 0 for the other.", Gauge, []string{"role"}},
	{MasterLinkUp, "Whether the replica is connected to its master.", Gauge, byMaster},
	{MasterLastIO, "Seconds since the replica last heard of its master.", Gauge, byMaster},
	{MasterSyncInProgress, "Whether the replica is being synchronised by its master.", Gauge, byMaster},
	{MasterLinkDownSince, "Seconds since the replica lost its master.", Gauge, byMaster},
	{MasterFailoverState, "The state of a FAILOVER: 1 for the state it is in, 0 for all others.", Gauge, []string{"state"}},
	{SlaveReplOffset, "The replication offset of the replica.", Gauge, byMaster},
	{SlaveInfo, "What the replica says of itself. Always 1.", Gauge, []string{"master_host", "master_port", "read_only"}},
	{ConnectedSlaveOffset, "The replication offset that a replica has acknowledged.", Gauge, bySlave},
	{ConnectedSlaveLag, "Seconds since a replica was last heard of.", Gauge, bySlave},

	{Commands, "Calls of a command.", Counter, byCommand},
	{CommandsDuration, "Time spent in a command.", Counter, byCommand},
	{CommandsFailed, "Calls of a command that failed while it ran.", Counter, byCommand},
	{CommandsRejected, "Calls of a command that were refused before it ran.", Counter, byCommand},
	{CommandsLatencies, "How long calls of a command took, in microseconds.", Histogram, byCommand},
	{LatencyPercentiles, "Percentiles of the time that calls of a command took, in microseconds.", Summary, byCommand},
	{LatencySpikeLast, "When the latency monitor last saw a spike of an event, in seconds since the epoch.", Gauge, []string{"event_name"}},
	{LatencySpikeDuration, "How long the last spike of an event lasted.", Gauge, []string{"event_name"}},
	{Errors, "Error replies by their first word.", Counter, []string{"err"}},
	{DBKeys, "Keys in a database.", Gauge, byDB},
	{DBKeysExpiring, "Keys in a database that have an expiry time.", Gauge, byDB},
	{DBKeysCached, "Keys of a database that are cached in memory (KeyDB).", Gauge, byDB},
	{DBAvgTTL, "Estimated mean time to live of the keys of a database that expire.", Gauge, byDB},
	{SlowlogLength, "Entries in the slow log.", Gauge, nil},
	{SlowlogLastID, "The id of the newest entry of the slow log.", Gauge, nil},
	{LastSlowExecution, "How long the newest command of the slow log took.", Gauge, nil},

	{CommandlogSlow, "Entries in the log of slow commands (Valkey).", Gauge, nil},
	{CommandlogRequest, "Entries in the log of large requests (Valkey).", Gauge, nil},
	{CommandlogReply, "Entries in the log of large replies (Valkey).", Gauge, nil},
	{CommandlogSlowerThan, "The time from which a command is slow, in microseconds (Valkey).", Gauge, nil},
	{CommandlogSlowMax, "The most entries that the log of slow commands keeps (Valkey).", Gauge, nil},
	{CommandlogRequestLarger, "The size from which a request is large, in bytes (Valkey).", Gauge, nil},
	{CommandlogRequestMax, "The most entries that the log of large requests keeps (Valkey).", Gauge, nil},
	{CommandlogReplyLarger, "The size from which a reply is large, in bytes (Valkey).", Gauge, nil},
	{CommandlogReplyMax, "The most entries that the log of large replies keeps (Valkey).", Gauge, nil},

	{ConfigMaxClients, "The configured maxclients.", Gauge, nil},
	{ConfigMaxMemory, "The configured maxmemory in bytes; 0 for none.", Gauge, nil},
	{ConfigIOThreads, "The configured number of I/O threads.", Gauge, nil},
	{ConfigReplBacklog, "The configured size of the replication backlog in bytes.", Gauge, nil},
	{ConfigOutputLimit, "The configured limit of the output buffer of a class of clients.", Gauge, []string{"class", "limit"}},
	{ConfigOutputOvercome, "How long a class of clients may be over its soft limit.", Gauge, []string{"class", "limit"}},
	{ConfigKeyValue, "A configuration parameter as text. Always 1.", Gauge, []string{"key", "value"}},
	{ConfigValue, "A configuration parameter that is a number.", Gauge, []string{"key"}},
	{ActiveTimeIOThread, "Time that an I/O thread was active (Valkey).", Counter, []string{"thread"}},

	{ExporterLastError, "Whether the last scrape of Redis failed, and with which class of reply.", Gauge, []string{"err"}},
	{ExporterLastDuration, "How long the last scrape of Redis took.", Gauge, nil},
	{ExporterLastConnect, "How long it took to connect to Redis. The connection is kept, so this changes only when it is made again.", Gauge, nil},

	{SentinelMasterStatus, "Whether Sentinel holds a master to be well, and the status that it gives it.", Gauge, []string{"master_name", "master_address", "master_status"}},
	{SentinelMasterSlaves, "Replicas of a master that Sentinel watches.", Gauge, byWatched},
	{SentinelMasterPeers, "Sentinels that watch a master, this one included.", Gauge, byWatched},
	{SentinelOKSlaves, "Replicas of a master that are neither down nor disconnected.", Gauge, byWatched},
	{SentinelOKPeers, "Sentinels of a master that are neither down nor disconnected, this one included.", Gauge, byWatched},
	{SentinelCkquorum, "Whether the Sentinels that can be reached are enough for a failover.", Gauge, []string{"master_name", "message"}},
	{SentinelSetCkquorum, "The quorum configured for a master.", Gauge, byWatched},
	{SentinelSetDownAfter, "The down-after-milliseconds configured for a master.", Gauge, byWatched},
	{SentinelSetFailover, "The failover-timeout configured for a master.", Gauge, byWatched},
	{SentinelSetSyncs, "The parallel-syncs configured for a master.", Gauge, byWatched},
	{SentinelConfigEpoch, "The configuration epoch of a master: it rises with each failover.", Gauge, byWatched},
	{SentinelLastOKPing, "Seconds since a master last answered this Sentinel.", Gauge, byWatched},
	{SentinelPeerInfo, "Another Sentinel of a master. Always 1.", Gauge, []string{"master_name", "master_address", "name", "ip", "port", "runid", "flags"}},
	{SentinelConfigKeyValue, "A configuration parameter of Sentinel as text. Always 1.", Gauge, []string{"key", "value"}},
	{SentinelConfigValue, "A configuration parameter of Sentinel that is a number.", Gauge, []string{"key"}},
}
