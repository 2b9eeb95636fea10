// The command line: every flag of every command, and what becomes of a wrong one.
#include <CLI/CLI.hpp>
#include <exception>
#include <functional>
#include <iostream>

#include "cli/commands.hpp"
#include "ops/version.hpp"

namespace pillion::cli {
namespace {

/// All flags, and the command that was chosen.
struct Chosen {
  ServeFlags serve;
  CheckFlags check;
  ExplainFlags explain;
  InvalidateFlags invalidate;
  WhyFlags why;
  WarmFlags warm;
  TopFlags top;
  HealthFlags health;
  DemoFlags demo;
  std::function<int()> command;
};

CLI::App* command(CLI::App& app, Chosen& chosen, const std::string& name, const std::string& text,
                  std::function<int()> run) {
  CLI::App* sub = app.add_subcommand(name, text);
  sub->callback([&chosen, run = std::move(run)] { chosen.command = run; });
  return sub;
}

/// One value each time it is given, so that what follows is not swallowed.
void add_list(CLI::App* sub, const std::string& flag, std::vector<std::string>& out, const std::string& text,
              const std::string& type) {
  sub->add_option(flag, out, text)->type_name(type)->allow_extra_args(false)->expected(1)->take_all();
}

void add_text(CLI::App* sub, const std::string& flag, std::string& out, const std::string& text,
              const std::string& type) {
  sub->add_option(flag, out, text)->type_name(type);
}

void add_serve(CLI::App& app, Chosen& c) {
  CLI::App* sub = command(app, c, "serve", "Run the proxy.", [&c] { return serve(c.serve); });
  add_text(sub, "--config", c.serve.config, "Configuration file (default: proxy.yaml)", "FILE");
  add_text(sub, "--upstream", c.serve.upstream, "The application, instead of a configuration file", "URL");
  add_text(sub, "--listen", c.serve.listen, "With --upstream: where to listen (default: 127.0.0.1:8080)", "ADDRESS");
  add_text(sub, "--admin", c.serve.admin, "With --upstream: admin address (default: 127.0.0.1:9901)", "ADDRESS");
  add_text(sub, "--redis", c.serve.redis, "With --upstream: Redis as the second store", "URL");
  add_text(sub, "--ttl", c.serve.ttl, "With --upstream: lifetime of responses that give none, such as 60s", "DURATION");
}

void add_offline(CLI::App& app, Chosen& c) {
  CLI::App* sub = command(app, c, "check", "Say everything that is wrong with a configuration file.",
                          [&c] { return check(c.check); });
  add_text(sub, "--config", c.check.config, "Configuration file (default: proxy.yaml)", "FILE");

  sub = command(app, c, "explain", "Say what the proxy would do with a request, and why; asks no running proxy.",
                [&c] { return explain(c.explain); });
  add_text(sub, "--config", c.explain.config, "Configuration file (default: proxy.yaml)", "FILE");
  add_text(sub, "--method", c.explain.method, "Method (default: GET)", "METHOD");
  add_list(sub, "-H,--header", c.explain.headers, "A header of the request; may be repeated", "'NAME: VALUE'");
  add_text(sub, "--listener", c.explain.listener, "Name of the listener that it comes by (default: one without a name)",
           "NAME");
  sub->add_flag("--json", c.explain.json, "JSON, for machines");
  sub->add_option("url", c.explain.url, "Path with its query, or an absolute URL")->type_name("URL-PATH")->required();
}

void add_online(CLI::App& app, Chosen& c) {
  CLI::App* sub = command(app, c, "invalidate", "Ask a running proxy to invalidate stored responses.",
                          [&c] { return invalidate(c.invalidate); });
  const std::string admin = std::string("Admin address, http:// or unix: (default: ") + default_admin + ")";
  add_text(sub, "--admin", c.invalidate.admin, admin, "URL");
  add_text(sub, "--token-file", c.invalidate.token_file, "File with the admin token (default: $PILLION_TOKEN)", "FILE");
  add_list(sub, "--tag", c.invalidate.tags, "Responses that carry the tag; may be repeated", "TAG");
  add_list(sub, "--pattern", c.invalidate.patterns, "Responses whose key matches, with * and ?; may be repeated",
           "GLOB");
  add_list(sub, "--url", c.invalidate.urls, "An absolute URL, or a path under every host; may be repeated", "URL");
  sub->add_flag("--all", c.invalidate.all, "Everything");
  sub->add_flag("--soft", c.invalidate.soft, "It may still be served where stale responses may, while it is refreshed");
  add_text(sub, "--wait", c.invalidate.wait,
           "How long to wait for the other replicas (default: 2s); where given, exit 1 if some are late", "DURATION");
  sub->add_flag("--dry-run", c.invalidate.dry_run, "Count and give examples; change nothing");
  sub->add_flag("--json", c.invalidate.json, "The receipt as JSON");

  sub = command(app, c, "why", "Say what a running proxy decided for recent requests, step by step.",
                [&c] { return why(c.why); });
  add_text(sub, "--admin", c.why.admin, admin, "URL");
  add_text(sub, "--token-file", c.why.token_file, "File with the admin token (default: $PILLION_TOKEN)", "FILE");
  sub->add_option("--limit", c.why.limit, "How many requests of a path, the latest first (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));
  sub->add_flag("--json", c.why.json, "JSON, for machines");
  sub->add_option("what", c.why.what, "Request id (X-Request-Id), or a path")
      ->type_name("REQUEST-ID|URL-PATH")
      ->required();

  sub = command(app, c, "warm", "Have a running proxy fetch a list of URLs into its cache.",
                [&c] { return warm(c.warm); });
  add_text(sub, "--admin", c.warm.admin, admin, "URL");
  add_text(sub, "--token-file", c.warm.token_file, "File with the admin token (default: $PILLION_TOKEN)", "FILE");
  add_text(sub, "--listener", c.warm.listener,
           "Name of the listener by which clients ask for them (default: one without a name)", "NAME");
  sub->add_flag("--json", c.warm.json, "The proxy's own lines, JSON, for machines");
  sub->add_option("file", c.warm.file, "One path or http(s) URL a line, # begins a comment; - is standard input")
      ->type_name("FILE|-")
      ->required();

  sub = command(app, c, "top", "Show a live table of a running proxy's routes.", [&c] { return top(c.top); });
  add_text(sub, "--admin", c.top.admin, admin, "URL");
  add_text(sub, "--token-file", c.top.token_file, "File with the admin token (default: $PILLION_TOKEN)", "FILE");
  sub->add_option("--count", c.top.count, "How many tables, one a second (default: until interrupted)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000));

  sub = command(app, c, "health", "Exit with 0 when a running proxy is ready, else with 1.",
                [&c] { return health(c.health); });
  add_text(sub, "--admin", c.health.admin, admin, "URL");
}

void add_demo(CLI::App& app, Chosen& c) {
  CLI::App* sub =
      command(app, c, "demo", "Show in a minute what the proxy does: a small application, and an API that it calls.",
              [&c] { return demo(c.demo); });
  add_text(sub, "--listen", c.demo.listen, "Where the proxy listens (default: a free port of 127.0.0.1)", "ADDRESS");
}

int run_checked(int argc, const char* const* argv) {
  CLI::App app("Pillion, a caching reverse proxy that rides beside one application.", "pillion");
  Chosen chosen;
  app.set_version_flag("--version", "pillion " + std::string(version()));
  app.require_subcommand(1);
  add_serve(app, chosen);
  add_offline(app, chosen);
  add_online(app, chosen);
  add_demo(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(e);  // --help, --version
    const auto named = app.get_subcommands();
    if (named.empty() && argc > 1 && argv[1][0] != '-') {
      say_error("there is no command '" + std::string(argv[1]) + "' (see `pillion --help`)");
    } else {
      say_error(std::string(e.what()) + " (see `pillion " + (named.empty() ? "" : named.front()->get_name() + " ") +
                "--help`)");
    }
    return 2;
  }
  const int code = chosen.command();
  std::cout.flush();
  if (std::cout) return code;
  say_error("standard output could not be written");
  return code == 0 ? 1 : code;
}

}  // namespace

int run(int argc, const char* const* argv) {
  try {
    return run_checked(argc, argv);
  } catch (const std::exception& e) {
    say_error(e.what());
  } catch (...) {
    say_error("failed for a reason that nobody foresaw");
  }
  return 1;
}

}  // namespace pillion::cli
