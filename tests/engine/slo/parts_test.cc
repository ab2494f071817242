// The evaluator's parts alone: counting case by case, slots against plain sums, rounds, state.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "engine/base/stale.h"
#include "engine/slo/alert_state.h"
#include "engine/slo/conditions.h"
#include "engine/slo/leaf_counter.h"
#include "engine/slo/message.h"
#include "engine/slo/rounds.h"
#include "engine/slo/slots.h"

namespace basalt::slo {
namespace {

const double kStale = std::bit_cast<double>(uint64_t{0x7ff0000000000002});

// --- counting: one line of docs/0001-counting.md a case ------------------------------------------

struct CountCase {
  const char* name;
  std::vector<LeafSample> before;  // taken first
  LeafSample sample;
  bool born;
  Booking booked;  // in events, not in 2^-16
};
class Counting : public ::testing::TestWithParam<CountCase> {};

TEST_P(Counting, BooksEachEventOnce) {
  const CountCase& c = GetParam();
  LeafState state;
  for (const LeafSample& sample : c.before) {
    (void)Advance(state, sample, false);  // only the state matters
  }
  const Booking booking = Advance(state, c.sample, c.born);
  EXPECT_EQ(booking.amount, c.booked.amount * kAmountPerEvent);
  EXPECT_EQ(booking.from_ms, c.booked.from_ms);
  EXPECT_EQ(booking.to_ms, c.booked.to_ms);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Counting,
    ::testing::Values(
        CountCase{"rising", {{15'000, 5}}, {30'000, 9}, false, {30'000, 30'000, 4}},
        CountCase{"flat", {{15'000, 5}}, {30'000, 5}, false, {30'000, 30'000, 0}},
        CountCase{"reset", {{15'000, 5}}, {30'000, 3}, false, {30'000, 30'000, 3}},
        CountCase{"start_timestamp_is_a_reset",
                  {{15'000, 5}},
                  {30'000, 9, 20'000},
                  false,
                  {30'000, 30'000, 9}},
        CountCase{"old_start_timestamp_is_none",
                  {{15'000, 5}},
                  {30'000, 9, 1'000},
                  false,
                  {30'000, 30'000, 4}},
        CountCase{"no_gap_at_its_limit", {{15'000, 5}}, {75'000, 9}, false, {75'000, 75'000, 4}},
        CountCase{"gap_one_past_its_limit", {{15'000, 5}}, {75'001, 9}, false, {15'000, 75'001, 4}},
        CountCase{"gap_with_reset", {{15'000, 5}}, {175'000, 3}, false, {15'000, 175'000, 3}},
        CountCase{"slow_scrapes_are_no_gap",
                  {{0, 1}, {120'000, 5}},
                  {480'000, 9},
                  false,
                  {480'000, 480'000, 4}},
        CountCase{"slow_scrapes_have_gaps_too",
                  {{0, 1}, {120'000, 5}},
                  {480'001, 9},
                  false,
                  {120'000, 480'001, 4}},
        CountCase{"one_gap_does_not_make_the_next_usual",
                  {{0, 1}, {15'000, 2}, {315'000, 3}},
                  {615'000, 9},
                  false,
                  {315'000, 615'000, 6}},
        CountCase{"stale_marker_spreads",
                  {{15'000, 5}, {30'000, kStale}},
                  {45'000, 9},
                  false,
                  {15'000, 45'000, 4}},
        CountCase{"stale_marker_then_reset",
                  {{15'000, 5}, {30'000, kStale}},
                  {45'000, 2},
                  false,
                  {15'000, 45'000, 2}},
        CountCase{"born", {}, {30'000, 9}, true, {30'000, 30'000, 9}},
        CountCase{"born_wins_over_start", {}, {30'000, 9, 10'000}, true, {30'000, 30'000, 9}},
        CountCase{"young_by_start_timestamp", {}, {90'000, 9, 30'000}, false, {30'000, 90'000, 9}},
        CountCase{"start_timestamp_too_old", {}, {90'001, 9, 30'000}, false, {90'001, 90'001, 0}},
        CountCase{
            "start_timestamp_in_the_future", {}, {90'000, 9, 90'001}, false, {90'000, 90'000, 0}},
        CountCase{"baseline", {}, {30'000, 9}, false, {30'000, 30'000, 0}},
        CountCase{"a_day_is_still_a_gap",
                  {{15'000, 5}},
                  {15'000 + kMaxGapMs, 9},
                  false,
                  {15'000, 15'000 + kMaxGapMs, 4}},
        CountCase{"more_than_a_day_begins_anew",
                  {{15'000, 5}},
                  {15'001 + kMaxGapMs, 9},
                  false,
                  {15'001 + kMaxGapMs, 15'001 + kMaxGapMs, 0}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(CountingValues, NaNInfinityAndNegativesAreNotCountable) {
  for (const double value : {std::nan(""), kStale, HUGE_VAL, -HUGE_VAL, -1.0}) {
    EXPECT_FALSE(IsCountable(value)) << value;
  }
  EXPECT_TRUE(IsCountable(0));
  EXPECT_TRUE(IsCountable(-0.0));
  EXPECT_TRUE(IsStaleMarker(kStale));
  EXPECT_FALSE(IsStaleMarker(std::nan("")));
}

TEST(CountingValues, HugeCountersDoNotOverflow) {
  LeafState state;
  (void)Advance(state, {0, 1e15}, false);
  EXPECT_EQ(Advance(state, {15'000, 1e15 + 8}, false).amount, 8 * kAmountPerEvent);
  EXPECT_GT(Advance(state, {30'000, std::numeric_limits<double>::max()}, false).amount, 0);
  EXPECT_GT(Advance(state, {45'000, 1e14}, false).amount, 0);
}

// However samples fall, a counter without resets is counted from its first value to its last.
RC_GTEST_PROP(CountingProperty, AddsUpToTheCountersGrowth, ()) {
  const auto steps = *rc::gen::container<std::vector<std::pair<int, double>>>(
      rc::gen::pair(rc::gen::inRange(1, 400'000),
                    rc::gen::map(rc::gen::inRange(0, 1'000'000), [](int n) { return n / 3.0; })));
  LeafState state;
  int64_t t = 1'000'000;
  double value = 17.25;
  (void)Advance(state, {t, value}, false);
  const double first = value;
  Amount sum = 0;
  for (const auto& [ms, more] : steps) {
    t += ms;
    value += more;
    const Booking booking = Advance(state, {t, value}, false);
    sum += booking.amount;
    // Shares add up wherever the booking is cut.
    const int64_t middle = (booking.from_ms + booking.to_ms) / 2;
    const Amount early = BookedUpTo(booking, middle);
    RC_ASSERT(early >= 0 && early <= booking.amount);
  }
  RC_ASSERT(sum == std::llround(value * kAmountPerEvent) - std::llround(first * kAmountPerEvent));
}

// --- slots ---------------------------------------------------------------------------------------

// Indexes into kWorkbook's windows.
constexpr size_t k5m = 0;
constexpr size_t k1h = 2;
constexpr size_t k30d = 7;
const auto kWorkbook = std::make_shared<const Layout>(std::vector<int64_t>{
    300'000, 1'800'000, 3'600'000, 7'200'000, 21'600'000, 86'400'000, 259'200'000, 2'592'000'000});

TEST(Slots, ALayoutKeepsEachWindowInAtMost150Slots) {
  EXPECT_EQ(kWorkbook->levels().size(), 5U);
  EXPECT_EQ(kWorkbook->Find(3'600'000), k1h);
  EXPECT_EQ(kWorkbook->Find(3'600'001), 8U);
  for (const int64_t length_ms :
       {int64_t{1}, int64_t{60'000}, int64_t{11'580'000}, 400 * kMsPerDay}) {
    const Layout layout({length_ms});
    EXPECT_LE(length_ms / layout.levels()[0].slot_ms, kMaxSlotsPerWindow) << length_ms;
  }
}

TEST(Slots, AnyAmountComesBack) {
  SlotTable slots;
  const GroupIndex g = slots.AddGroup(kWorkbook, 1'700'000'000'000);
  for (const Amount amount :
       {Amount{1}, Amount{-1}, kAmountPerEvent, kAmountPerEvent * ((1 << 30) - 1),
        kAmountPerEvent << 30, (kAmountPerEvent << 30) + 1, -(kAmountPerEvent << 31),
        Amount{1} << 60, Amount{(1 << 30) - 1}, Amount{(1 << 30) + 1}}) {
    const int64_t slot = SlotOf(1'700'000'000'000, 10'000);
    const Counts before = slots.Slot(g, 0, slot);
    slots.Correct(g, 0, slot, Counts{amount, -amount} - before);
    EXPECT_EQ(slots.Slot(g, 0, slot), (Counts{amount, -amount}));
  }
}

TEST(Slots, ASlotIsOpenOnTheLeft) {
  EXPECT_EQ(SlotOf(10'000, 10'000), 0);
  EXPECT_EQ(SlotOf(10'001, 10'000), 1);
  EXPECT_EQ(SlotOf(0, 10'000), -1);
  EXPECT_EQ(SlotOf(-10'000, 10'000), -2);
}

// Any bookings, any times: whole + part of the edge is what plain summing gives, the edge bounds
// it, and neighbours in the same chunk do not touch each other.
RC_GTEST_PROP(SlotsProperty, WindowsAreWhatPlainSumsGive, ()) {
  constexpr int64_t kStart = 1'700'000'003'217;
  SlotTable slots;
  for (int i = 0; i < 70; ++i) (void)slots.AddGroup(kWorkbook, kStart);
  const GroupIndex g = *rc::gen::inRange<GroupIndex>(0, 70);
  std::vector<GroupBooking> all;
  int64_t head = kStart;
  const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 1000));
  for (const int step : steps) {
    // Mostly scrapes, sometimes hours, rarely days.
    head += step < 900 ? 15'000 + step : step < 990 ? step * 10'000 : step * 300'000;
    slots.Advance(g, head);
    GroupBooking booking{head, head, {step % 7, step}};
    if (step % 5 == 0) booking.from_ms = head - step * 997;
    if (step % 11 == 0) booking.from_ms = booking.to_ms = head - step * 1'009;  // late
    slots.Add(g, booking);
    all.push_back(booking);
    for (size_t w = 0; w < kWorkbook->windows().size(); ++w) {
      const int64_t at = head + (step % 3) * 4'000;
      const WindowSum sum = slots.Sum(g, w, at);
      const int64_t begin = at - kWorkbook->windows()[w].length_ms;
      RC_ASSERT(sum.edge_begin_ms < begin + 1 && begin <= sum.edge_end_ms);
      Counts after_edge;
      Counts in_edge;
      for (const GroupBooking& one : all) {
        const Counts to_end = BookedUpTo(one, sum.edge_end_ms);
        const bool point = one.from_ms == one.to_ms;
        if (point) {
          if (one.to_ms > sum.edge_end_ms) after_edge += one.counts;
          if (one.to_ms > sum.edge_begin_ms && one.to_ms <= sum.edge_end_ms) in_edge += one.counts;
        } else {
          after_edge += one.counts - to_end;
          in_edge += to_end - BookedUpTo(one, sum.edge_begin_ms);
        }
      }
      RC_ASSERT(sum.whole == after_edge);
      if (begin != sum.edge_end_ms) RC_ASSERT(sum.edge == in_edge);
    }
  }
  for (GroupIndex other = 0; other < 70; ++other) {
    if (other != g) RC_ASSERT(slots.Sum(other, k30d, kStart).whole == Counts{});
  }
}

TEST(Slots, ACorrectionReachesTheWindowsOfItsLevel) {
  SlotTable slots;
  const GroupIndex g = slots.AddGroup(kWorkbook, 1'700'000'000'000);
  slots.Add(g, {1'699'999'999'000, 1'699'999'999'000, {5, 10}});
  slots.Correct(g, 0, SlotOf(1'699'999'999'000, 10'000), {-5, 2});
  EXPECT_EQ(slots.Sum(g, k5m, 1'700'000'000'000).whole, (Counts{0, 12}));
  EXPECT_EQ(slots.Sum(g, k1h, 1'700'000'000'000).whole, (Counts{5, 10}));
  slots.Correct(g, 0, 3, {1, 1});  // long gone: nothing
  EXPECT_EQ(slots.Sum(g, k5m, 1'700'000'000'000).whole, (Counts{0, 12}));
}

// --- conditions: the certain interval ------------------------------------------------------------

TEST(Conditions, TheEdgeIsReadOnlyIfItDecides) {
  constexpr int64_t kT = 1'700'000'003'217;
  SlotTable slots;
  const GroupIndex g = slots.AddGroup(kWorkbook, kT);
  const int64_t in_edge = kT - 300'000 + 100;  // inside the window, in the slot that it cuts
  const Fraction threshold{144, 10'000};
  int reads = 0;
  Counts answer;
  const EdgeReader edges = [&](GroupIndex, size_t, const WindowSum&, int64_t) {
    ++reads;
    return std::optional<Counts>(answer);
  };
  const Moment at{slots, g, kT, {}, edges};
  EXPECT_EQ(Exceeds(at, k5m, threshold), Truth::kUndefined);
  slots.Add(g, {kT, kT, {100, 10'000}});
  slots.Add(g, {in_edge, in_edge, {0, 100}});
  EXPECT_EQ(Exceeds(at, k5m, threshold), Truth::kNo);  // 1 %, whatever the edge
  EXPECT_EQ(reads, 0);
  slots.Add(g, {in_edge, in_edge, {50, 0}});  // 1 % without, 1.485 % with it
  answer = {50, 100};
  EXPECT_EQ(Exceeds(at, k5m, threshold), Truth::kYes);
  answer = {40, 0};
  EXPECT_EQ(Exceeds(at, k5m, threshold), Truth::kNo);
  EXPECT_EQ(reads, 2);
  slots.Add(g, {kT, kT, {100, 0}});
  EXPECT_EQ(Exceeds(at, k5m, threshold), Truth::kYes);
  EXPECT_EQ(reads, 2);
}

TEST(Conditions, AnEdgeThatCannotBeReadCountsInProportion) {
  constexpr int64_t kT = 1'700'000'005'000;
  SlotTable slots;
  const GroupIndex g = slots.AddGroup(kWorkbook, kT);
  slots.Add(g, {kT - 300'000, kT - 300'000, {0, 1000}});
  const EdgeReader edges = [](GroupIndex, size_t, const WindowSum&, int64_t) {
    return std::nullopt;
  };
  const WindowReading reading = ReadWindow({slots, g, kT, {}, edges}, k5m);
  EXPECT_FALSE(reading.exact);
  EXPECT_EQ(reading.counts.total, 500);
}

// --- rounds --------------------------------------------------------------------------------------

using std::chrono::seconds;
constexpr std::chrono::nanoseconds kNow = seconds(1000);

Booking At(int64_t t_ms, Amount amount = kAmountPerEvent) { return {t_ms, t_ms, amount}; }

TEST(RoundsTest, ARoundWaitsForTheLeavesThatReportedBefore) {
  Rounds rounds(0);
  const auto bad = rounds.AddLeaf(1, 1, 0);
  const auto total = rounds.AddLeaf(1, 0, 1);
  SettledRound out;
  EXPECT_TRUE(rounds.Report(bad, At(15'000), kNow));
  EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out)) << "nobody else is known yet";
  EXPECT_FALSE(rounds.Report(total, At(15'000), kNow)) << "its time has settled";
  EXPECT_TRUE(rounds.Report(bad, At(30'000), kNow));
  EXPECT_FALSE(rounds.PopSettled(kNow, kSettleTimeout, out));
  EXPECT_EQ(rounds.Unreported().total, kAmountPerEvent);
  EXPECT_TRUE(rounds.Report(total, At(30'000), kNow));
  EXPECT_EQ(rounds.Unreported().total, 0);
  ASSERT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
  EXPECT_EQ(out.time_ms, 30'000);
  EXPECT_EQ(out.counts, (Counts{kAmountPerEvent, kAmountPerEvent}));
}

TEST(RoundsTest, ASpreadOfGoodEventsTakesErrorsAwayBeforeItSettles) {
  // bad = total - good; good has missed scrapes, so its events are spread over a gap.
  Rounds rounds(0);
  const auto total = rounds.AddLeaf(1, 1, 1);
  const auto good = rounds.AddLeaf(1, -1, 0);
  EXPECT_TRUE(rounds.Report(total, At(300'000, 100 * kAmountPerEvent), kNow));
  EXPECT_TRUE(rounds.Report(good, {0, 300'000, 90 * kAmountPerEvent}, kNow));
  int visits = 0;
  rounds.ForEachOpen([&](int64_t time_ms, const Counts& open) {
    ++visits;
    EXPECT_EQ(time_ms, 300'000);
    EXPECT_EQ(open, (Counts{10 * kAmountPerEvent, 100 * kAmountPerEvent}));
  });
  EXPECT_EQ(visits, 1);
}

TEST(RoundsTest, ASpreadCountsAsEventsAndNotAsErrorsBeforeItSettles) {
  Rounds rounds(0);
  const auto bad = rounds.AddLeaf(1, 1, 0);
  const auto total = rounds.AddLeaf(1, 0, 1);
  EXPECT_TRUE(rounds.Report(bad, {0, 300'000, 90 * kAmountPerEvent}, kNow));
  EXPECT_TRUE(rounds.Report(total, {0, 300'000, 100 * kAmountPerEvent}, kNow));
  rounds.ForEachOpen(
      [](int64_t, const Counts& open) { EXPECT_EQ(open, (Counts{0, 100 * kAmountPerEvent})); });
}

TEST(AlertIdentityTest, OfTwoTenantsDiffers) {
  Definition definition;
  definition.id = "shop-requests";
  const Labels ours = AlertIdentity(definition, {}, Severity::kPage);
  EXPECT_EQ(ours.Get(kTenantLabel), "");
  definition.tenant = TenantId{7};
  const Labels theirs = AlertIdentity(definition, {}, Severity::kPage);
  EXPECT_EQ(theirs.Get(kTenantLabel), "7");
  EXPECT_NE(notify::Fingerprint(ours), notify::Fingerprint(theirs));
}

TEST(RoundsTest, ALeafTwoRoundsBehindHoldsBoth) {
  Rounds rounds(0);
  const auto fast = rounds.AddLeaf(1, 1, 1);
  const auto slow = rounds.AddLeaf(1, 0, 1);
  SettledRound out;
  for (const int64_t t : {15'000, 30'000}) {
    EXPECT_TRUE(rounds.Report(fast, At(t), kNow));
    EXPECT_TRUE(rounds.Report(slow, At(t), kNow));
    EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
  }
  EXPECT_TRUE(rounds.Report(fast, At(45'000), kNow));
  EXPECT_TRUE(rounds.Report(fast, At(60'000), kNow));
  EXPECT_FALSE(rounds.PopSettled(kNow, kSettleTimeout, out));
  EXPECT_EQ(rounds.Unreported().total, 2 * kAmountPerEvent);
  EXPECT_TRUE(rounds.Report(slow, At(45'000), kNow));
  EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
  EXPECT_FALSE(rounds.PopSettled(kNow, kSettleTimeout, out)) << "it still lacks 60'000";
  EXPECT_TRUE(rounds.Report(slow, At(60'000), kNow));
  EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
}

TEST(RoundsTest, AnOverdueTargetIsWaitedForUntilTheTimeoutAndOnce) {
  Rounds rounds(0);
  const auto a = rounds.AddLeaf(1, 1, 1);
  const auto b = rounds.AddLeaf(2, 1, 1);
  SettledRound out;
  for (const int64_t t : {15'000, 30'000}) {
    EXPECT_TRUE(rounds.Report(a, At(t), kNow));
    EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
    EXPECT_TRUE(rounds.Report(b, At(t + 5'000), kNow));
    EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
  }
  EXPECT_TRUE(rounds.Report(a, At(45'000), kNow));
  EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out)) << "b is due at 50'000 only";
  EXPECT_TRUE(rounds.Report(a, At(60'000), kNow));
  EXPECT_FALSE(
      rounds.PopSettled(kNow + kSettleTimeout - std::chrono::nanoseconds(1), kSettleTimeout, out));
  EXPECT_TRUE(rounds.PopSettled(kNow + kSettleTimeout, kSettleTimeout, out));
  EXPECT_TRUE(rounds.Report(a, At(75'000), kNow));
  EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out)) << "b has lapsed";
}

TEST(RoundsTest, AnEndedLeafIsNotWaitedFor) {
  Rounds rounds(0);
  const auto a = rounds.AddLeaf(1, 1, 1);
  const auto b = rounds.AddLeaf(1, 1, 1);
  SettledRound out;
  EXPECT_TRUE(rounds.Report(a, At(15'000), kNow));
  EXPECT_TRUE(rounds.Report(b, At(15'000), kNow));
  EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
  EXPECT_TRUE(rounds.Report(a, At(30'000), kNow));
  rounds.End(b);
  EXPECT_TRUE(rounds.PopSettled(kNow, kSettleTimeout, out));
}

// --- state ---------------------------------------------------------------------------------------

TEST(AlertStateTest, NoTrafficFreezesAndIsReleasedAfterAnHour) {
  AlertState state;
  EXPECT_EQ(Settle(state, 1'000, Truth::kUndefined), AlertChange::kNone);
  EXPECT_EQ(Settle(state, 2'000, Truth::kYes), AlertChange::kFired);
  EXPECT_EQ(Settle(state, 3'000, Truth::kUndefined), AlertChange::kNone);
  EXPECT_EQ(Settle(state, 3'000 + kNoTrafficReleaseMs - 1, Truth::kUndefined), AlertChange::kNone);
  EXPECT_TRUE(state.firing);
  EXPECT_EQ(Settle(state, 3'000 + kNoTrafficReleaseMs, Truth::kUndefined), AlertChange::kResolved);
}

TEST(AlertStateTest, AnEarlyFireTakesTheStartThatSettlingShows) {
  AlertState state;
  EXPECT_EQ(FireEarly(state, 30'000), AlertChange::kFired);
  EXPECT_EQ(FireEarly(state, 45'000), AlertChange::kNone);
  EXPECT_EQ(Settle(state, 10'000, Truth::kNo), AlertChange::kNone);
  EXPECT_EQ(Settle(state, 15'000, Truth::kYes), AlertChange::kStartMoved);
  EXPECT_EQ(state.starts_ms, 15'000);
  EXPECT_EQ(Settle(state, 30'000, Truth::kNo), AlertChange::kResolved);
  EXPECT_EQ(state.ends_ms, 30'000);
}

TEST(AlertStateTest, UndefinedPartsLeaveOpenWhatTheyCouldDecide) {
  EXPECT_EQ(And(Truth::kUndefined, Truth::kNo), Truth::kNo);
  EXPECT_EQ(And(Truth::kUndefined, Truth::kYes), Truth::kUndefined);
  EXPECT_EQ(Or(Truth::kUndefined, Truth::kYes), Truth::kYes);
  EXPECT_EQ(Or(Truth::kUndefined, Truth::kNo), Truth::kUndefined);
}

TEST(AlertStateTest, FiresOnForAsLongAsItIsToldOnceTheConditionIsOver) {
  AlertState state;
  Settle(state, 1'000, Truth::kYes, 60'000);
  EXPECT_EQ(Settle(state, 2'000, Truth::kNo, 60'000), AlertChange::kNone);
  EXPECT_EQ(state.cleared_ms, 2'000);
  EXPECT_EQ(Settle(state, 61'999, Truth::kNo, 60'000), AlertChange::kNone);
  EXPECT_EQ(Settle(state, 62'000, Truth::kNo, 60'000), AlertChange::kResolved);
  EXPECT_EQ(state.ends_ms, 62'000);

  state = {};
  Settle(state, 1'000, Truth::kYes, 60'000);
  Settle(state, 2'000, Truth::kNo, 60'000);
  EXPECT_EQ(Settle(state, 30'000, Truth::kYes, 60'000), AlertChange::kNone);  // the same episode
  EXPECT_EQ(state.starts_ms, 1'000);
  EXPECT_EQ(Settle(state, 80'000, Truth::kNo, 60'000), AlertChange::kNone);  // counted anew
  EXPECT_EQ(Settle(state, 140'000, Truth::kNo, 60'000), AlertChange::kResolved);
}

// P(X >= k) by adding up, which is exact enough for small n.
double TailBySum(int k, int n, double p) {
  double sum = 0;
  for (int i = k; i <= n; ++i) {
    sum += std::exp(std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(n - i + 1.0) +
                    i * std::log(p) + (n - i) * std::log1p(-p));
  }
  return sum;
}

TEST(LowTrafficTest, TheBinomialTailIsThatOfASum) {
  for (const int n : {1, 5, 40, 1000}) {
    for (const double p : {0.0001, 0.0144, 0.3, 0.9}) {
      for (int k = 1; k <= n; k += std::max(1, n / 10)) {
        EXPECT_NEAR(BinomialTail(k, n, p), TailBySum(k, n, p), 1e-9)
            << k << " of " << n << " " << p;
      }
    }
  }
  EXPECT_EQ(BinomialTail(0, 10, 0.5), 1);
  EXPECT_EQ(BinomialTail(11, 10, 0.5), 0);
}

TEST(LowTrafficTest, GuardsAskForEventsAndForConfidence) {
  const Fraction threshold{9, 625};  // 1.44 %
  const auto counts = [](int64_t bad, int64_t total) {
    return Counts{bad * kAmountPerEvent, total * kAmountPerEvent};
  };
  EXPECT_TRUE(IsEnough({}, counts(1, 40), 1, threshold));
  EXPECT_FALSE(IsEnough({2, 0, 0}, counts(1, 40), 1, threshold));
  EXPECT_TRUE(IsEnough({2, 0, 0}, counts(2, 40), 1, threshold));
  EXPECT_FALSE(IsEnough({0, 41, 0}, counts(9, 40), 1, threshold));
  EXPECT_TRUE(IsEnough({0, 40, 0}, counts(9, 40), 1, threshold));
  EXPECT_FALSE(IsEnough({0, 41, 0}, counts(80, 80), 2, threshold));  // 40 events at scale 2
  // One of 40 happens at 1.44 % in 44 % of the hours, four of 40 in 0.3 %.
  EXPECT_FALSE(IsEnough({0, 0, 0.95}, counts(1, 40), 1, threshold));
  EXPECT_TRUE(IsEnough({0, 0, 0.95}, counts(4, 40), 1, threshold));
  EXPECT_TRUE(IsEnough({0, 0, 0.99}, counts(200'000, 10'000'000), 1, threshold));
}

}  // namespace
}  // namespace basalt::slo
