// Functions of one float: mathematics, clamp, round, and parts of dates. Histograms are left out.
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "query/exec/functions/vector.h"
#include "query/promql/functions.h"

namespace basalt::query::exec {
namespace {

using plan::FunctionId;

// Replaces every float by f(float, step) and drops histograms. f gives NaN or any number;
// `keep(step)` false leaves the whole step out.
template <typename F>
Matrix MapFloats(Matrix m, F&& f) {
  for (Row& row : m.rows()) {
    row.drop_name = true;
    const auto values = m.values(row);
    const auto kinds = m.kinds(row);
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] == CellKind::kFloat) values[i] = f(values[i], row.first + i);
      if (kinds[i] == CellKind::kHistogram) kinds[i] = CellKind::kAbsent;
    }
  }
  if (m.has_histograms()) m.Trim();
  return m;
}

// As upstream computes them where exp(x) overflows and half of it would not.
double HalfExp(double v) { return std::exp(v) * 0.5; }
constexpr double kOtherTermVanishes = 21;
double Cosh(double v) {
  const double size = std::fabs(v);
  return size > kOtherTermVanishes ? HalfExp(size) : std::cosh(v);
}
double Sinh(double v) {
  const double size = std::fabs(v);
  return size > kOtherTermVanishes ? std::copysign(HalfExp(size), v) : std::sinh(v);
}

// As clamp() wants them: NaN wins over numbers, and an infinity that nothing can beat wins over
// NaN.
double Max(double a, double b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a == kInfinity || b == kInfinity) return kInfinity;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  if (a == 0 && b == 0) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}
double Min(double a, double b) { return -Max(-a, -b); }

Matrix Clamp(CallInput& in) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const FunctionId id = in.node.function;
  const auto low = [&](size_t step) {
    return id == FunctionId::kClampMax ? -kInfinity : in.scalar(1, step);
  };
  const auto high = [&](size_t step) {
    return id == FunctionId::kClampMin ? kInfinity
                                       : in.scalar(id == FunctionId::kClampMax ? 1 : 2, step);
  };
  Matrix out = MapFloats(std::move(in.args[0]),
                         [&](double v, size_t step) { return Max(low(step), Min(high(step), v)); });
  if (id != FunctionId::kClamp) return out;
  bool holes = false;
  for (Row& row : out.rows()) {
    const auto kinds = out.kinds(row);
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (high(row.first + i) >= low(row.first + i) || !(high(row.first + i) < low(row.first + i)))
        continue;
      kinds[i] = CellKind::kAbsent;  // nothing lies between bounds that are the wrong way round
      holes = true;
    }
  }
  if (holes) out.Trim();
  return out;
}

Matrix Round(CallInput& in) {
  const bool has_unit = in.args.size() > 1;
  return MapFloats(std::move(in.args[0]), [&](double v, size_t step) {
    // The inverse loses less than dividing by the unit does. Ties go up.
    const double inverse = 1.0 / (has_unit ? in.scalar(1, step) : 1.0);
    return std::floor(v * inverse + 0.5) / inverse;
  });
}

double (*MathFunction(FunctionId id))(double) {
  switch (id) {
    case FunctionId::kAbs:
      return [](double v) { return std::fabs(v); };
    case FunctionId::kAcos:
      return [](double v) { return std::acos(v); };
    case FunctionId::kAcosh:
      return [](double v) { return std::acosh(v); };
    case FunctionId::kAsin:
      return [](double v) { return std::asin(v); };
    case FunctionId::kAsinh:
      return [](double v) { return std::asinh(v); };
    case FunctionId::kAtan:
      return [](double v) { return std::atan(v); };
    case FunctionId::kAtanh:
      return [](double v) { return std::atanh(v); };
    case FunctionId::kCeil:
      return [](double v) { return std::ceil(v); };
    case FunctionId::kCos:
      return [](double v) { return std::cos(v); };
    case FunctionId::kCosh:
      return Cosh;
    case FunctionId::kDeg:
      return [](double v) { return v * 180 / std::numbers::pi; };
    case FunctionId::kExp:
      return [](double v) { return std::exp(v); };
    case FunctionId::kFloor:
      return [](double v) { return std::floor(v); };
    case FunctionId::kLn:
      return [](double v) { return std::log(v); };
    case FunctionId::kLog10:
      return [](double v) { return std::log10(v); };
    case FunctionId::kLog2:
      return [](double v) { return std::log2(v); };
    case FunctionId::kRad:
      return [](double v) { return v * std::numbers::pi / 180; };
    case FunctionId::kSgn:
      return [](double v) { return v < 0 ? -1.0 : v > 0 ? 1.0 : v; };
    case FunctionId::kSin:
      return [](double v) { return std::sin(v); };
    case FunctionId::kSinh:
      return Sinh;
    case FunctionId::kSqrt:
      return [](double v) { return std::sqrt(v); };
    case FunctionId::kTan:
      return [](double v) { return std::tan(v); };
    case FunctionId::kTanh:
      return [](double v) { return std::tanh(v); };
    default:
      return nullptr;
  }
}

// A day of the proleptic Gregorian calendar in UTC.
struct Date {
  int64_t year = 0;
  int month = 1;
  int day = 1;
};

int64_t FloorDiv(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

constexpr int64_t kSecondsPerDay = 86'400;

// Days since 1970-01-01 to a date: counted in eras of 400 years from March 1st of year 0, so that
// leap days come last.
Date DateOfDay(int64_t days) {
  constexpr int64_t kDaysPerEra = 146'097;
  const int64_t shifted = days + 719'468;  // 0000-03-01 is day 0
  const int64_t era = FloorDiv(shifted, kDaysPerEra);
  const int64_t day_of_era = shifted - era * kDaysPerEra;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month = (5 * day_of_year + 2) / 153;  // from March
  Date out;
  out.day = static_cast<int>(day_of_year - (153 * month + 2) / 5 + 1);
  out.month = static_cast<int>(month < 10 ? month + 3 : month - 9);
  out.year = year_of_era + era * 400 + (out.month <= 2 ? 1 : 0);
  return out;
}

bool IsLeap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int DaysInMonth(const Date& d) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return d.month == 2 && IsLeap(d.year) ? 29 : kDays[d.month - 1];
}

int DayOfYear(const Date& d) {
  int out = d.day;
  for (Date m{d.year, 1, 1}; m.month < d.month; ++m.month) out += DaysInMonth(m);
  return out;
}

double PartOfDay(FunctionId id, int64_t day, int64_t second_of_day) {
  const Date date = DateOfDay(day);
  switch (id) {
    case FunctionId::kDaysInMonth:
      return DaysInMonth(date);
    case FunctionId::kDayOfMonth:
      return date.day;
    case FunctionId::kDayOfWeek: {
      constexpr int64_t kThursday = 4;  // 1970-01-01
      const int64_t weekday = (day + kThursday) % 7;
      return static_cast<double>(weekday < 0 ? weekday + 7 : weekday);
    }
    case FunctionId::kDayOfYear:
      return DayOfYear(date);
    case FunctionId::kHour:
      return static_cast<double>(second_of_day / 3600);
    case FunctionId::kMinute:
      return static_cast<double>(second_of_day / 60 % 60);
    case FunctionId::kMonth:
      return date.month;
    default:
      return static_cast<double>(date.year);
  }
}

// Upstream counts seconds in 64 bits without a sign, from here on: what lies before it comes out at
// the other end, in the year 292277026596.
constexpr int64_t kFirstSecond = -9'223'372'028'715'321'600;  // 1 January -292277022399

double PartOfDate(FunctionId id, int64_t seconds) {
  if (seconds >= kFirstSecond) {
    const int64_t day = FloorDiv(seconds, kSecondsPerDay);
    return PartOfDay(id, day, seconds - day * kSecondsPerDay);
  }
  const auto past = static_cast<uint64_t>(seconds) - static_cast<uint64_t>(kFirstSecond);
  return PartOfDay(id, kFirstSecond / kSecondsPerDay + static_cast<int64_t>(past / kSecondsPerDay),
                   static_cast<int64_t>(past % kSecondsPerDay));
}

// Toward zero, as the processors that upstream runs on convert: what does not fit, NaN included,
// becomes the smallest number there is.
int64_t ToSeconds(double v) {
  constexpr double kFirstBeyond = 9223372036854775808.0;
  if (!(v >= -kFirstBeyond && v < kFirstBeyond)) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(v);
}

}  // namespace

Result<Matrix> PointwiseFunction(CallInput& in) {
  switch (in.node.function) {
    case FunctionId::kClamp:
    case FunctionId::kClampMax:
    case FunctionId::kClampMin:
      return Clamp(in);
    case FunctionId::kRound:
      return Round(in);
    default:
      break;
  }
  if (const auto f = MathFunction(in.node.function)) {
    return MapFloats(std::move(in.args[0]), [f](double v, size_t) { return f(v); });
  }
  return Unimplemented("function " + std::string(promql::SpecOf(in.node.function).name) +
                       " is not supported yet");
}

Result<Matrix> DateFunction(CallInput& in) {
  const FunctionId id = in.node.function;
  if (!in.args.empty()) {
    return MapFloats(std::move(in.args[0]),
                     [id](double v, size_t) { return PartOfDate(id, ToSeconds(v)); });
  }
  Matrix out(in.grid);
  out.Begin(RowLabels(), false);
  for (size_t step = 0; step < in.grid.size(); ++step) {
    out.Append(step, PartOfDate(id, in.grid.at(step) / kMsPerSecond));
  }
  out.End();
  return out;
}

}  // namespace basalt::query::exec
