// tools/alerts_command.h -- `basalt alerts`: what became of them, and what people say of it, on a
// running server.
#pragma once

#include <string>

namespace basalt::cli {

struct AlertsOptions {
  std::string url = "http://127.0.0.1:7480";
  // list and report
  std::string team;
  std::string state;  // "firing", "resolved"; empty: both
  std::string month;  // "2026-11"; empty: the present one
  size_t limit = 50;
  // acknowledge and feedback
  std::string alert;  // id or fingerprint
  std::string by;     // empty: $USER
  std::string actionable;
  double minutes = 0;
  std::string ticket;
  std::string note;
};

// Exit codes: 0; 1 if the server says no or does not answer.
int RunAlertsList(const AlertsOptions& options);
int RunAlertsAcknowledge(const AlertsOptions& options);
int RunAlertsFeedback(const AlertsOptions& options);
int RunAlertsReport(const AlertsOptions& options);

}  // namespace basalt::cli
