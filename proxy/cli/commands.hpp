// The commands, one file each, apart from how their flags are read (command_line.cpp). Each returns the exit code: 0
// done, 1 failed while running, 2 wrong usage or configuration; says errors on standard error, one line each. May throw
// std::exception for what nobody expects: run() turns that into a line and 1.
#pragma once

#include <string>
#include <vector>

#include "config/loader.hpp"

namespace pillion::cli {

struct ServeFlags {
  std::string config, upstream, listen, admin, redis, ttl;  ///< empty: not given
};
int serve(const ServeFlags& flags);

struct CheckFlags {
  std::string config;
};
int check(const CheckFlags& flags);

struct ExplainFlags {
  std::string config;
  std::string method = "GET";
  std::string url;
  std::string listener;              ///< empty: the usual one
  std::vector<std::string> headers;  ///< `Name: value`
  bool json = false;
};
int explain(const ExplainFlags& flags);

inline constexpr const char* default_admin = "http://127.0.0.1:9901";

struct InvalidateFlags {
  std::string admin = default_admin;
  std::string token_file;
  std::vector<std::string> tags, patterns, urls;
  std::string wait;  ///< empty: not given
  bool all = false, soft = false, dry_run = false, json = false;
};
int invalidate(const InvalidateFlags& flags);

struct WhyFlags {
  std::string admin = default_admin;
  std::string token_file;
  std::string what;  ///< a request id, or a path that begins with `/`
  int limit = 1;
  bool json = false;
};
int why(const WhyFlags& flags);

struct TopFlags {
  std::string admin = default_admin;
  std::string token_file;
  int count = 0;  ///< how many tables; 0: until interrupted
};
int top(const TopFlags& flags);

struct WarmFlags {
  std::string admin = default_admin;
  std::string token_file;
  std::string listener;  ///< empty: the usual one
  std::string file;      ///< `-`: standard input
  bool json = false;
};
int warm(const WarmFlags& flags);

struct HealthFlags {
  std::string admin = default_admin;
};
int health(const HealthFlags& flags);

struct DemoFlags {
  std::string listen;  ///< empty: 127.0.0.1 and a port that the kernel chooses
};
int demo(const DemoFlags& flags);

/// The whole command line, program name first.
int run(int argc, const char* const* argv);

/// One line to standard error: `pillion: TEXT`.
void say_error(const std::string& text);
/// The problems of a configuration file, one line each, to standard error. True where it may be used.
bool say_problems(const std::string& file, const config::Loaded& loaded);
/// The file that --config names, or proxy.yaml where it was not given.
std::string config_file(const std::string& flag);

}  // namespace pillion::cli
