#include "engine/ingest/write_service.h"

#include <gtest/gtest.h>

namespace basalt::ingest {
namespace {

TEST(AnswerForError, SaysWhatSendersDoRightWith) {
  const WriteAnswer full = AnswerForError(ResourceExhausted("no room"));
  EXPECT_EQ(full.status, 503) << "Prometheus drops what is answered 429";
  EXPECT_GT(full.retry_after_seconds, 0);
  const WriteAnswer wanted = AnswerForError(ResourceExhausted("no room"), 429);
  EXPECT_EQ(wanted.status, 429);
  EXPECT_GT(wanted.retry_after_seconds, 0);
  // Starting and stopping have nothing to do with overload.
  EXPECT_EQ(AnswerForError(Unavailable("closing"), 429).status, 503);
  EXPECT_EQ(AnswerForError(InvalidArgument("x"), 429).status, 400);
  EXPECT_EQ(AnswerForError(DataLoss("the log has failed")).status, 500);
}

}  // namespace
}  // namespace basalt::ingest
