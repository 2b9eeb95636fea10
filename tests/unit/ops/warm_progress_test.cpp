// What `pillion warm` makes of the lines that come from the proxy.
#include "cli/warm_progress.hpp"

#include <doctest/doctest.h>

#include <sstream>

using namespace pillion;
using namespace pillion::cli;

namespace {

constexpr std::string_view answer =
    "{\"url\":\"/a\",\"result\":\"stored\",\"status\":200,\"bytes\":3,\"ms\":1.5}\n"
    "{\"url\":\"/b\",\"result\":\"uncacheable\",\"reason\":\"no-store\",\"status\":200,\"ms\":1}\n";

}  // namespace

TEST_CASE("warm progress: lines are whole however the bytes come") {
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, answer.size()}) {
    std::ostringstream out;
    WarmProgress progress(out, WarmProgress::Form::lines, 2);
    for (std::size_t at = 0; at < answer.size(); at += step) progress.take(answer.substr(at, step));
    CHECK(progress.done() == 2);
    CHECK(progress.count(WarmResult::stored) == 1);
    progress.end();
    CHECK(out.str() == "stored /a 200\nuncacheable /b 200 (no-store)\nwarmed 2 of 2 URLs: 1 stored, 1 uncacheable\n");
  }
}

TEST_CASE("warm progress: a bar on a terminal, with what didn't work above it") {
  std::ostringstream out;
  WarmProgress progress(out, WarmProgress::Form::bar, 2);
  progress.take(answer);
  progress.end();
  const std::string text = out.str();
  CHECK(text.find("[###############...............] 1/2  1 stored") != std::string::npos);
  CHECK(text.find("\r\x1b[Kuncacheable /b 200 (no-store)\n") != std::string::npos);
  CHECK(text.ends_with("\r\x1b[Kwarmed 2 of 2 URLs: 1 stored, 1 uncacheable\n"));
}

TEST_CASE("warm progress: nothing that comes reaches the terminal but as text") {
  std::ostringstream out;
  WarmProgress progress(out, WarmProgress::Form::lines, 1);
  progress.take("no json\n[]\n" + std::string(200'000, 'x') + "\n");
  CHECK(progress.done() == 0);
  progress.take("{\"url\":\"/\\u001b[2J\",\"result\":\"stored\\n\"}\n");
  CHECK(out.str() == "stored? /?[2J\n");
}
