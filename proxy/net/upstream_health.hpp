// What the process knows of whether an upstream answers: its circuit breaker, and a line in the log whenever that
// changes. Shared, locks inside.
#pragma once

#include <string>
#include <utility>

#include "net/upstream_breaker.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

struct UpstreamHealth {
  UpstreamHealth(std::string upstream, UpstreamFigures& f, Log& l) : name(std::move(upstream)), figures(f), log(l) {}
  /// It could not be connected to, did not answer in time, or ended the connection before its answer.
  void note_failure() {
    if (!breaker.failed(UpstreamBreaker::Clock::now())) return;
    figures.breaker_open = true;
    figures.breaker_opened.add();
    log.warn("upstream " + name + " does not answer: one request at a time tries it until one is answered");
  }
  void note_answer() {
    if (!breaker.answered()) return;
    figures.breaker_open = false;
    log.info("upstream " + name + " answers again");
  }
  const std::string name;
  UpstreamFigures& figures;
  Log& log;
  UpstreamBreaker breaker;
};

}  // namespace pillion
