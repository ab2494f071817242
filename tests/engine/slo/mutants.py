#!/usr/bin/env python3
"""Writes copies of the evaluator's sources in which one expression at a time can be wrong.

Run: mutants.py <out directory> <source>...
All mutants are one build: `(basalt_mutant == n ? wrong : right)` stands in the place of what each changes. A text that no
longer stands exactly once in its source stops the build, so that the list keeps up with the code.
"""
import os
import sys

# name, file, what stands there, what a mistake would be. Between two @ stands the expression that changes; a text
# without @ is statements.
MUTANTS = [
    ("at_the_threshold_fires", "conditions", "return @RatioExceeds(counts.bad, counts.total, threshold)@ ?",
     "static_cast<Int128>(counts.bad) * threshold.den >= static_cast<Int128>(counts.total) * threshold.num"),
    ("no_events_are_no_errors", "conditions", "if (counts.total <= 0) return @Truth::kUndefined@;", "Truth::kNo"),
    ("the_edge_never_counts", "conditions", "return Compare(@Refine(at, window, sum).counts@, threshold);", "sum.whole + at.open"),
    ("the_edge_always_counts", "conditions", "return Compare(@Refine(at, window, sum).counts@, threshold);",
     "sum.whole + sum.edge + at.open"),
    ("the_edge_has_no_errors", "conditions", "RatioExceeds(@whole.bad + sum.edge.bad@, whole.total", "whole.bad"),
    ("the_short_window_is_enough", "conditions", "if (@both != Truth::kYes@) return both;", "in_short != Truth::kYes"),
    ("a_reset_goes_unnoticed", "leaf_counter", "const bool reset = @sample.value < state.last_value@ ||", "false"),
    ("start_timestamps_are_ignored", "leaf_counter",
     "(@sample.start_ms > state.last_ms && sample.start_ms <= sample.time_ms@)", "false"),
    ("a_gap_is_booked_at_its_end", "leaf_counter", "state.ended || @sample.time_ms - state.last_ms > GapLimit(state)@", "false"),
    ("a_marker_is_no_gap", "leaf_counter", "const bool gap = @state.ended@ ||", "false"),
    ("a_replica_is_a_reset", "leaf_counter", "if (reset && @IsReplicaSwitch(state, sample)@)", "false"),
    ("any_small_decrease_is_a_replica", "leaf_counter", "return @std::min(off, beat - off) > beat / kBeatShare@;", "true"),
    ("a_birth_counts_nothing", "leaf_counter", "if (@born@) {", "false"),
    ("any_number_is_countable", "taps", "if (!is_marker && leaf.cumulative && @!IsCountable(sample.value)@) return;", "false"),
    ("a_day_of_silence_is_a_gap", "leaf_counter", "@time_ms - state.last_ms > kMaxGapMs@", "false"),
    ("a_frozen_page_is_never_released", "alert_state", "if (@time_ms - state.undefined_since_ms < kNoTrafficReleaseMs@)", "true"),
    ("no_data_resolves", "alert_state", "if (@time_ms - state.undefined_since_ms < kNoTrafficReleaseMs@)", "false"),
    ("traffic_does_not_unfreeze", "alert_state", "state.undefined_since_ms = @0@;\n      return AlertChange::kNone;", "state.undefined_since_ms"),
    ("a_late_round_does_not_move_the_start", "alert_state", "    state.starts_ms = @time_ms@;", "state.starts_ms"),
    ("days_have_24_hours", "calendar", "if (unit == 'd') return At(start + units * 86'400);",
     "if (unit == 'd') return At(start) + units * 86'400'000;"),
    ("a_skipped_beginning_is_an_hour_late", "calendar", "const bool skipped = @info.kind == absl::TimeZone::TimeInfo::SKIPPED@;", "false"),
    ("a_repeated_beginning_is_the_second", "calendar", "skipped ? info.trans : @info.pre@)", "info.post"),
    ("quiet_whatever_errors_come", "quiet", "quiet.most.bad = std::min(quiet.most.bad, @room@);", "kUnlimited"),
    ("quiet_whatever_events_come", "quiet", "quiet.most.total = std::min(quiet.most.total, @room@);", "kUnlimited"),
    ("quiet_while_events_leave", "quiet", "return {now.whole + now.edge, @then.whole@};", "now.whole"),
    ("quiet_with_more_errors_than_events", "quiet", "quiet.most.bad = std::min(quiet.most.bad, @sane@);", "kUnlimited"),
    ("more_errors_than_events_page", "conditions", "if (@counts.bad > counts.total@) {", "false"),
    ("a_late_sample_leaves_quiet", "slo_set_history", "    groups_[changed]->quiet = {};", ""),
    ("a_window_forgets_nothing", "slots", "window->sum -= @Load(At(group, w.level, window->ring))@;", "Counts{}"),
    ("slots_are_open_on_the_right", "slots", "return FloorDiv(@time_ms - 1@, slot_ms);", "time_ms"),
    ("late_samples_are_not_corrected", "slo_set_history", "      correct(level, k, @delta@);", "Counts{}"),
    ("a_total_is_not_corrected", "slo_set_history", "slots_.Correct(*total, level, k, @delta@);", "Counts{}"),
    ("half_a_round_settles", "rounds", "else if (@round.missing != 0@ ||", "false"),
    ("overdue_targets_are_not_waited_for", "rounds", "Expect(number, @interval > 0 ? time_ms + interval : 0@);", "0"),
    ("who_comes_back_comes_alone", "rounds", "const bool is_back = @HasEnded(member)@;", "false"),
    ("who_comes_back_comes_alone_through_a_restart", "rounds", "(leaf.ended && !@IsWantedBack(leaf)@)) continue;", "false"),
    ("a_restart_expects_nobody", "rounds", "leaf.ended = @ended_ms != 0@;", "true"),
    ("a_restart_settles_what_is_there", "rounds", "if (member.round_ms - leaf.last_ms <= @most_ms@)", "0"),
    ("overwritten_samples_are_missed", "taps", "    events.dirty.push_back({number, t, t, position});", ""),
    ("every_first_sample_in_history_is_a_birth", "history", "if (@!born@) out.unevidenced_ms", "(born = true, false)"),
    ("a_gap_in_history_is_booked_at_its_end", "slo_set_load", "if (@booking.from_ms != booking.to_ms@) {", "false"),
]


def mutate(text, right, wrongs, path):
    before, expression, after = right.split("@") if "@" in right else ("", right, "")
    plain = before + expression + after
    if text.count(plain) != 1:
        sys.exit(f"{path}: mutants.py expects exactly one `{plain}` and finds {text.count(plain)}")
    if "@" in right:
        chain = "".join(f"basalt_mutant == {n} ? ({wrong}) : " for n, wrong in wrongs)
        return text.replace(plain, f"{before}({chain}({expression})){after}")
    chain = "".join(f"if (basalt_mutant == {n}) {{ {wrong} }} else " for n, wrong in wrongs)
    return text.replace(plain, f"{chain}{{ {plain} }}")


def main():
    out, sources = sys.argv[1], sys.argv[2:]
    os.makedirs(out, exist_ok=True)
    # Mutants of one place become one chain of choices.
    places = {}
    for number, (_, name, right, wrong) in enumerate(MUTANTS, 1):
        places.setdefault(name, {}).setdefault(right, []).append((number, wrong))
    for path in sources:
        name = os.path.splitext(os.path.basename(path))[0]
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for right, wrongs in places.pop(name, {}).items():
            text = mutate(text, right, wrongs, path)
        with open(os.path.join(out, name + ".cc"), "w", encoding="utf-8") as f:
            f.write(f'extern int basalt_mutant;\n{text}')
    if places:
        sys.exit(f"mutants.py has mutants of files that are not built: {', '.join(places)}")
    with open(os.path.join(out, "names.inc"), "w", encoding="utf-8") as f:
        f.writelines(f'"{mutant[0]}",\n' for mutant in MUTANTS)


if __name__ == "__main__":
    main()
