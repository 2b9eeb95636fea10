// CPU quota and trusted peers.
#include <doctest/doctest.h>

#include "net/cpu_quota.hpp"
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
