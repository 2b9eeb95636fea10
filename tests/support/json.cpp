#include "support/json.hpp"

#include <cstdlib>

namespace pillion::support {

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  Json whole() {
    Json out = value(0);
    space();
    if (at_ != text_.size()) fail("something after the value");
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("not JSON: " + what + " at byte " + std::to_string(at_) + " of " +
                             std::string(text_.substr(0, 400)));
  }
  void space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  char peek() {
    space();
    if (at_ >= text_.size()) fail("it ends early");
    return text_[at_];
  }
  void expect(char c) {
    if (peek() != c) fail(std::string("no '") + c + "'");
    ++at_;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json value(int depth) {
    if (depth > 50) fail("too deep");
    Json out;
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        out.type = Json::Type::string;
        out.string = string();
        return out;
      default:
        break;
    }
    if (take("null")) return out;
    out.type = Json::Type::boolean;
    out.boolean = true;
    if (take("true")) return out;
    out.boolean = false;
    if (take("false")) return out;
    out.type = Json::Type::number;
    std::string digits(text_.substr(at_, 40));
    char* end = nullptr;
    out.number = std::strtod(digits.c_str(), &end);
    if (end == digits.c_str()) fail("no value");
    at_ += static_cast<std::size_t>(end - digits.c_str());
    return out;
  }
  Json object(int depth) {
    Json out;
    out.type = Json::Type::object;
    expect('{');
    if (peek() == '}') {
      ++at_;
      return out;
    }
    for (;;) {
      if (peek() != '"') fail("no member name");
      std::string name = string();
      expect(':');
      if (!out.object.emplace(name, value(depth + 1)).second) fail("'" + name + "' twice");
      if (peek() == '}') break;
      expect(',');
    }
    ++at_;
    return out;
  }
  Json array(int depth) {
    Json out;
    out.type = Json::Type::array;
    expect('[');
    if (peek() == ']') {
      ++at_;
      return out;
    }
    for (;;) {
      out.array.push_back(value(depth + 1));
      if (peek() == ']') break;
      expect(',');
    }
    ++at_;
    return out;
  }
  std::string string() {
    expect('"');
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ >= text_.size()) break;
      char escaped = text_[at_++];
      static constexpr std::string_view names = "\"\\/bfnrt";
      static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      if (auto i = names.find(escaped); i != std::string_view::npos) {
        out += meanings[i];
      } else if (escaped == 'u' && at_ + 4 <= text_.size()) {
        utf8(std::strtoul(std::string(text_.substr(at_, 4)).c_str(), nullptr, 16), out);
        at_ += 4;
      } else {
        fail("an unknown escape");
      }
    }
    if (at_ >= text_.size()) fail("an open string");
    ++at_;
    return out;
  }
  static void utf8(unsigned long code, std::string& out) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))};
    } else {
      out += {static_cast<char>(0xe0 | (code >> 12)), static_cast<char>(0x80 | ((code >> 6) & 63)),
              static_cast<char>(0x80 | (code & 63))};
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text) { return Parser(text).whole(); }

const Json& Json::operator[](const std::string& name) const {
  if (!has(name)) throw std::runtime_error("no member '" + name + "'");
  return object.at(name);
}

bool Json::contains(std::string_view text) const {
  for (const auto& element : array) {
    if (element.type == Type::string && element.string == text) return true;
  }
  return false;
}

}  // namespace pillion::support
