// engine/slo/message.h -- the alert that a person reads at night: what burned, since when, what it
// cost, how long the budget lasts, and the inequality that made it fire.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/labels.h"
#include "engine/notify/alert.h"
#include "engine/slo/alert_state.h"
#include "engine/slo/conditions.h"
#include "engine/slo/definition.h"

namespace basalt::slo {

// On alerts of tenants other than the default one: the tenant's number.
inline constexpr std::string_view kTenantLabel = "basalt_tenant";

// alertname, sloth_id, sloth_service, sloth_slo, sloth_severity, the group's labels and the user's;
// the owner's labels are no part of it, so that a change of owner is not another alert.
Labels AlertIdentity(const Definition& definition, const std::vector<std::string>& values,
                     Severity severity);
// Labels that are sent besides: owner, team.
Labels OwnerLabels(const Definition& definition);
// The group_by labels with these values.
Labels GroupLabels(const Definition& definition, const std::vector<std::string>& values);

// Windows of the condition that fired, and the period's, at the time of writing.
struct AlertNumbers {
  BurnCondition condition;
  Counts in_short;
  Counts in_long;
  Counts in_period;
  int64_t scale = 1;
};

// "1.9 % of events were bad over 5m (190 of 10000) and ...".
std::string WhatBurned(const AlertNumbers& numbers);
// "burn rate 19 over 5m and 16 over 1h, both above 14.4".
std::string WhyItFired(const Definition& definition, const AlertNumbers& numbers);

// `external_url`: Basalt's own address, for links; may be empty.
notify::Alert MakeAlert(const Definition& definition, const std::vector<std::string>& values,
                        Severity severity, const AlertState& state, const AlertNumbers& numbers,
                        const std::string& external_url);

// "No samples since": of a group, or without values of an SLO that has none.
Labels AbsentIdentity(const Definition& definition, const std::vector<std::string>* values);
notify::Alert MakeAbsentAlert(const Definition& definition, const std::vector<std::string>* values,
                              int64_t last_ms, const std::string& external_url);

// A label of the SLO's has more values than it may have groups. A ticket.
inline constexpr std::string_view kTooManyGroups = "SLOTooManyGroups";
// `all_groups`: the bound on groups of all SLOs, if that is what there was no room in; else 0.
notify::Alert MakeTooManyGroupsAlert(const Definition& definition, Timestamp now,
                                     const std::string& external_url, size_t all_groups);

// Replaces {{ $labels.x }} (also .Labels.x) and {{ $value }}; what else stands in braces stays.
std::string ExpandTemplate(std::string_view text, const Labels& labels, std::string_view value);

// "99.9", exactly.
std::string ObjectivePercent(const Definition& definition);
// "5m", "1h", "3d".
std::string FormatDuration(Duration duration);
double RatioOf(const Counts& counts);                                 // 0 without events
double BurnRate(const Definition& definition, const Counts& counts);  // 0 without events
double Events(Amount amount, int64_t scale);
// Up to four digits that count.
std::string FormatNumber(double value);

}  // namespace basalt::slo
