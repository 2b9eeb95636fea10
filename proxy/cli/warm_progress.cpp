#include "cli/warm_progress.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

namespace pillion::cli {

namespace {

namespace json = boost::json;

constexpr std::size_t longest_line = 64u << 10;
constexpr std::size_t bar_width = 30;

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value) return {};
  return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

// It goes to a terminal: nothing there may be more than text.
std::string printable(std::string text) {
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

std::string describe(const json::object& line) {
  std::string text = text_at(line, "result") + ' ' + text_at(line, "url");
  if (const std::string status = text_at(line, "status"); !status.empty()) text += ' ' + status;
  if (const std::string reason = text_at(line, "reason"); !reason.empty()) text += " (" + reason + ')';
  return printable(std::move(text));
}

}  // namespace

void WarmProgress::take(std::string_view bytes) {
  for (;;) {
    const std::size_t end = bytes.find('\n');
    part_.append(bytes.substr(0, end));
    if (end == std::string_view::npos) break;
    take_line(part_);
    part_.clear();
    bytes.remove_prefix(end + 1);
  }
  if (part_.size() > longest_line) part_.clear();  // none of Pillion's
}

void WarmProgress::take_line(std::string_view text) {
  boost::system::error_code error;
  const json::value parsed = json::parse(text, error);
  const json::object* line = error ? nullptr : parsed.if_object();
  if (!line) return;
  ++done_;
  const std::string result = text_at(*line, "result");
  for (std::size_t i = 0; i < warm_result_count; ++i)
    if (to_string(static_cast<WarmResult>(i)) == result) ++counts_[i];
  if (form_ == Form::json) {
    out_ << json::serialize(parsed) << '\n';
  } else if (form_ == Form::lines) {
    out_ << describe(*line) << '\n';
  } else {
    // What didn't work stays above the bar.
    if (result != "stored" && result != "fresh") out_ << "\r\x1b[K" << describe(*line) << '\n';
    draw();
  }
  out_.flush();
}

void WarmProgress::draw() {
  const std::size_t filled = of_ == 0 ? bar_width : std::min(bar_width, done_ * bar_width / of_);
  out_ << "\r\x1b[K[" << std::string(filled, '#') << std::string(bar_width - filled, '.') << "] " << done_ << '/' << of_
       << "  " << totals();
}

std::string WarmProgress::totals() const {
  std::string text;
  for (std::size_t i = 0; i < warm_result_count; ++i) {
    if (counts_[i] == 0) continue;
    text += (text.empty() ? "" : ", ") + std::to_string(counts_[i]) + ' ' +
            std::string(to_string(static_cast<WarmResult>(i)));
  }
  return text;
}

void WarmProgress::end() {
  if (form_ == Form::json) return;
  if (form_ == Form::bar) out_ << "\r\x1b[K";
  out_ << "warmed " << done_ << " of " << of_ << " URLs" << (done_ == 0 ? "" : ": ") << totals() << std::endl;
}

}  // namespace pillion::cli
