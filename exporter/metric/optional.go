package metric

// Families that are published only where the configuration asks for them, because they cost Redis more or carry labels that
// others choose.
const (
	ClientInfo          = "redis_connected_client_info"
	ModuleInfo          = "redis_module_info"
	KeySize             = "redis_key_size"
	KeyMemory           = "redis_key_memory_usage_bytes"
	KeyValue            = "redis_key_value"
	KeyValueAsString    = "redis_key_value_as_string"
	KeysCount           = "redis_keys_count"
	KeyGroupCount       = "redis_key_group_count"
	KeyGroupMemory      = "redis_key_group_memory_usage_bytes"
	KeyGroups           = "redis_number_of_distinct_key_groups"
	KeyGroupsDuration   = "redis_last_key_groups_scrape_duration_milliseconds"
	SurveySuccess       = "redis_survey_success"
	SurveyTimestamp     = "redis_survey_timestamp_seconds"
	SurveyDuration      = "redis_survey_duration_seconds"
	StreamLength        = "redis_stream_length"
	StreamConsumerIdle  = "redis_stream_group_consumer_idle_seconds"
	StreamConsumerQueue = "redis_stream_group_consumer_messages_pending"
)

var (
	byClient = []string{"id", "name"}
	byKey    = []string{"db", "key"}
	byStream = []string{"db", "stream"}
	byGroup  = []string{"db", "stream", "group"}
	byIndex  = []string{"index_name"}
)

var optional = []Desc{
	{ClientInfo, "A connected client. Always 1.", Gauge, []string{"id", "name", "flags", "db", "host", "user", "resp", "port"}},
	{ModuleInfo, "A module that is loaded. Always 1.", Gauge, []string{"name", "ver", "api", "filters", "usedby", "using"}},
	{SurveySuccess, "Whether the last survey of keys, streams and indexes came to its end.", Gauge, nil},
	{SurveyTimestamp, "When the last survey was begun, in seconds since the epoch. What it found is published until the next.", Gauge, nil},
	{SurveyDuration, "How long the last survey took.", Gauge, nil},
	{KeySize, "The length or the number of elements of a key.", Gauge, byKey},
	{KeyMemory, "Memory that a key takes.", Gauge, byKey},
	{KeyValue, "The value of a key that is a number.", Gauge, byKey},
	{KeyValueAsString, "The value of a key that is no number. Always 1.", Gauge, []string{"db", "key", "val"}},
	{KeysCount, "Keys that match a pattern.", Gauge, byKey},
	{KeyGroupCount, "Keys in a group.", Gauge, []string{"db", "key_group"}},
	{KeyGroupMemory, "Memory that the keys of a group take.", Gauge, []string{"db", "key_group"}},
	{KeyGroups, "Groups of keys in a database.", Gauge, byDB},
	{KeyGroupsDuration, "How long the last grouping of keys took.", Gauge, nil},
}

// Value is a field of a reply to a question about one thing, such as a client or a stream, and the family it becomes.
type Value struct {
	Key   string // the field's name in the reply
	Desc  Desc
	Scale float64
}

func values(labels []string, list ...Value) []Value {
	for i := range list {
		list[i].Desc.Labels = labels
		if list[i].Scale == 0 {
			list[i].Scale = 1
		}
	}
	return list
}

func value(key, name, help string) Value {
	return Value{Key: key, Desc: Desc{Name: "redis_" + name, Help: help}}
}

func (v Value) times(scale float64) Value { v.Scale = scale; return v }
func (v Value) counter() Value            { v.Desc.Type = Counter; return v }

// Clients are the fields of CLIENT LIST.
var Clients = values(byClient,
	value("age", "connected_client_created_at_timestamp", "When the client connected, in seconds since the epoch."),
	value("idle", "connected_client_idle_since_timestamp", "Since when the client has been idle, in seconds since the epoch."),
	value("sub", "connected_client_channel_subscriptions_count", "Channels that the client subscribes to."),
	value("psub", "connected_client_pattern_matching_subscriptions_count", "Patterns that the client subscribes to."),
	value("ssub", "connected_client_shard_channel_subscriptions_count", "Shard channels that the client subscribes to."),
	value("watch", "connected_client_shard_channel_watched_keys", "Keys that the client watches."),
	value("qbuf", "connected_client_query_buffer_length_bytes", "Bytes in the client's query buffer."),
	value("qbuf-free", "connected_client_query_buffer_free_space_bytes", "Free space in the client's query buffer."),
	value("obl", "connected_client_output_buffer_length_bytes", "Bytes in the client's output buffer."),
	value("oll", "connected_client_output_list_length", "Replies that wait in the client's output list."),
	value("omem", "connected_client_output_buffer_memory_usage_bytes", "Memory for the client's output."),
	value("tot-mem", "connected_client_total_memory_consumed_bytes", "Memory for the client."),
)

// Streams are the fields of XINFO STREAM.
var Streams = values(byStream,
	value("length", "stream_length", "Entries in the stream."),
	value("radix-tree-keys", "stream_radix_tree_keys", "Keys in the radix tree of the stream."),
	value("radix-tree-nodes", "stream_radix_tree_nodes", "Nodes in the radix tree of the stream."),
	value("groups", "stream_groups", "Consumer groups of the stream."),
	value("last-generated-id", "stream_last_generated_id", "The newest id of the stream: its time in milliseconds since the epoch."),
	value("max-deleted-entry-id", "stream_max_deleted_entry_id", "The highest id that was deleted: its time in milliseconds since the epoch."),
	value("first-entry", "stream_first_entry_id", "The id of the first entry: its time in milliseconds since the epoch."),
	value("last-entry", "stream_last_entry_id", "The id of the last entry: its time in milliseconds since the epoch."),
	value("entries-added", "stream_entries_added_total", "Entries added to the stream since it was made.").counter(),
)

// StreamGroups are the fields of XINFO GROUPS.
var StreamGroups = values(byGroup,
	value("consumers", "stream_group_consumers", "Consumers of the group."),
	value("pending", "stream_group_messages_pending", "Messages that were delivered to the group and not acknowledged."),
	value("last-delivered-id", "stream_group_last_delivered_id", "The id last delivered to the group: its time in milliseconds since the epoch."),
	value("entries-read", "stream_group_entries_read", "Entries that the group has read."),
	value("lag", "stream_group_lag", "Entries that wait to be delivered to the group."),
)

// StreamConsumers are the fields of XINFO CONSUMERS.
var StreamConsumers = values([]string{"db", "stream", "group", "consumer"},
	value("pending", "stream_group_consumer_messages_pending", "Messages that were delivered to the consumer and not acknowledged."),
	value("idle", "stream_group_consumer_idle_seconds", "Seconds since the consumer last tried to read.").times(milli),
)

const megabyte = 1 << 20

// SearchIndexes are the fields of FT.INFO.
var SearchIndexes = values(byIndex,
	value("num_docs", "search_index_num_docs", "Documents in the index."),
	value("max_doc_id", "search_index_max_doc_id", "The highest id of a document in the index."),
	value("num_terms", "search_index_num_terms", "Distinct terms in the index."),
	value("num_records", "search_index_num_records", "Records in the index."),
	value("inverted_sz_mb", "search_index_inverted_size_bytes", "Memory for the inverted index.").times(megabyte),
	value("total_inverted_index_blocks", "search_index_total_inverted_index_blocks", "Blocks of the inverted index."),
	value("vector_index_sz_mb", "search_index_vector_index_size_bytes", "Memory for the vector index.").times(megabyte),
	value("offset_vectors_sz_mb", "search_index_offset_vectors_size_bytes", "Memory for offset vectors.").times(megabyte),
	value("doc_table_size_mb", "search_index_doc_table_size_bytes", "Memory for the table of documents.").times(megabyte),
	value("sortable_values_size_mb", "search_index_sortable_values_size_bytes", "Memory for sortable values.").times(megabyte),
	value("key_table_size_mb", "search_index_key_table_size_bytes", "Memory for the table of keys.").times(megabyte),
	value("tag_overhead_sz_mb", "search_index_tag_overhead_size_bytes", "Memory for the structures of TAG fields.").times(megabyte),
	value("text_overhead_sz_mb", "search_index_text_overhead_size_bytes", "Memory for the structures of TEXT fields.").times(megabyte),
	value("total_index_memory_sz_mb", "search_index_total_index_memory_size_bytes", "Memory for the index.").times(megabyte),
	value("geoshapes_sz_mb", "search_index_geoshapes_size_bytes", "Memory for GEO fields.").times(megabyte),
	value("records_per_doc_avg", "search_index_avg_per_doc_records", "Mean number of records of a document."),
	value("bytes_per_record_avg", "search_index_avg_per_record_bytes", "Mean size of a record."),
	value("offsets_per_term_avg", "search_index_avg_per_term_offsets", "Mean number of offsets of a term."),
	value("offset_bits_per_record_avg", "search_index_avg_per_record_offset_bits", "Mean number of bits for the offsets of a record."),
	value("indexing", "search_index_indexing", "Whether the index is being built."),
	value("percent_indexed", "search_index_percent_indexed", "The share of the index that is built."),
	value("hash_indexing_failures", "search_index_hash_indexing_failures", "Documents that could not be indexed."),
	value("number_of_uses", "search_index_number_of_uses_total", "How often the index was used.").counter(),
	value("cleaning", "search_index_cleaning", "Whether the index is being deleted."),
)
