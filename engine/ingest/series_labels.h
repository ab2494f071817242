// engine/ingest/series_labels.h -- the rules that the labels of a series obey, whatever the
// protocol.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/ingest/limits.h"
#include "engine/ingest/report.h"
#include "storage/ingest_batch.h"

namespace basalt::ingest {

// Checks labels as they were sent and makes them canonical: sorted, empty values dropped (an empty
// label is an absent one). kInvalidArgument: what is wrong, naming the label; `reason` then says
// which kind. Names may be any UTF-8 that is not empty; a metric name must be there.
Status NormalizeSeriesLabels(const Limits& limits, std::vector<LabelView>& labels, Reason& reason);

// Remote write: takes the replica's label out of labels that name a cluster too. Before
// NormalizeSeriesLabels; they may be in any order.
void DropReplica(const HaLabels& ha, std::vector<LabelView>& labels);

// As NormalizeSeriesLabels for an exemplar's labels, which may be empty and have no metric name.
Status NormalizeExemplarLabels(const Limits& limits, std::vector<LabelView>& labels);

// The fingerprint (storage/resolver.h) of canonical label bytes, for protocols that send labels as
// references. Remote write 1.0's is of its own encoding; another seed keeps one from being taken
// for the other.
Hash128 CanonicalFingerprint(std::string_view canonical);

// A family name that is there, texts that are UTF-8 and inside their limits. kInvalidArgument
// naming the field.
Status CheckMetadata(const Limits& limits, const storage::MetadataEntry& entry);

}  // namespace basalt::ingest
