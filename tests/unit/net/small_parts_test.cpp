// CPU quota, trusted peers, the preface of HTTP/2.
#include <doctest/doctest.h>

#include <string>

#include "net/cpu_quota.hpp"
#include "net/http2_preface.hpp"
#include "net/trusted_peers.hpp"

using namespace pillion;

TEST_CASE("the CPU quota of a container rounds up to whole threads") {
  CHECK(cpus_of_cpu_max("max 100000") == 0);
  CHECK(cpus_of_cpu_max("200000 100000") == 2);
  CHECK(cpus_of_cpu_max("150000 100000") == 2);
  CHECK(cpus_of_cpu_max("1000 100000") == 1);
  CHECK(cpus_of_cpu_max("") == 0);
  CHECK(cpus_of_cpu_max("-1 100000") == 0);
  CHECK(cpus_of_cpu_max("100000 0") == 0);
  CHECK(available_cpus() >= 1);
}

TEST_CASE("peers are trusted by address block") {
  const TrustedPeers peers({"127.0.0.0/8", "10.1.2.3", "fd00::/8", "nonsense"});
  CHECK(peers.contains(""));
  CHECK(peers.contains("127.0.0.1"));
  CHECK(peers.contains("127.255.0.9"));
  CHECK(peers.contains("10.1.2.3"));
  CHECK_FALSE(peers.contains("10.1.2.4"));
  CHECK_FALSE(peers.contains("128.0.0.1"));
  CHECK(peers.contains("fd12::1"));
  CHECK_FALSE(peers.contains("::1"));
  CHECK_FALSE(peers.contains("not an address"));
}

TEST_CASE("the preface of HTTP/2 is known whole, in part, and from what only resembles it") {
  CHECK(http2_preface.size() == 24);
  CHECK(match_preface("") == Preface::none);
  for (std::size_t n = 1; n < http2_preface.size(); ++n) {
    CAPTURE(n);
    std::string begin(http2_preface.substr(0, n));
    CHECK(match_preface(begin) == Preface::part);
    begin.back() ^= 1;
    CHECK(match_preface(begin) == Preface::none);
    CHECK(match_preface(begin + std::string(http2_preface.substr(n))) == Preface::none);
  }
  CHECK(match_preface(http2_preface) == Preface::whole);
  CHECK(match_preface(std::string(http2_preface) + std::string(1, '\0')) == Preface::whole);
  CHECK(match_preface("PUT / HTTP/1.1") == Preface::none);
  CHECK(match_preface("pri * HTTP/2.0") == Preface::none);
}
