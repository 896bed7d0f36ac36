package metric

// Exception is a rule of good names that some families break, because redis_exporter or systemd_exporter named them so and a drop-in
// must not rename what dashboards and rules use.
type Exception struct {
	Names   string // a regular expression
	Problem string // promlint's words for it
	Reason  string
}

const (
	wantsTotal  = `counter metrics should have "_total"`
	notTotal    = `non-counter metrics should not have "_total"`
	abbreviated = "metric names should not contain abbreviated units"
)

// Unclean lists all exceptions. What promlint finds beyond them fails a test, and so does one that nothing needs.
func Unclean() []Exception {
	return []Exception{
		{`^redis_(rdb_saves|cluster_messages_(sent|received)|cluster_stats_messages_\w+|migrate_cached_sockets|server_threads|long_lock_waits)(_total)?$`, notTotal, "a gauge in redis_exporter"},
		{`^redis_(memory_used_vm_total|search_global_total)$`, notTotal, "a gauge in redis_exporter; the total is not one of events"},
		{`^redis_(dump_payload_sanitizations|io_threaded_(reads|writes)_processed|total_error_replies|total_(reads|writes)_processed|unexpected_error_replies|storage_provider_read_\w+)$`, wantsTotal, "a counter in redis_exporter"},
		{`^systemd_service_ip_(in|e)gress_bytes$`, wantsTotal, "named so in systemd_exporter"},
		{`^redis_search_\w+_count$`, wantsTotal, "a counter in redis_exporter"},
		{`^redis_(search|connected_client)_\w+_count$`, `should not have "_count" suffix`, "named so in redis_exporter"},
		{`^redis_\w+(_ms|_milliseconds|_ms_total)$`, abbreviated, "milliseconds in redis_exporter"},
		{`^redis_sentinel_master_setting_down_after_milliseconds$`, "use base unit", "milliseconds in redis_exporter"},
		{`^redis_(aof|rdb)_(last|current)_(bgsave|rewrite)_duration_sec$`, abbreviated, "named so in redis_exporter"},
		{`^redis_instantaneous_eventloop_cycles_per_sec$`, abbreviated, "named so in redis_exporter"},
		{`^redis_search_index_avg_per_record_offset_bits$`, "use base unit", "bits in redis_exporter and in the module"},
	}
}
