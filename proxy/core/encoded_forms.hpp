// The encoded forms of one stored response (`compress_answers`): what stands there beside the plain one, and how often
// one that doesn't was wanted. A part of the response: it goes with it. Any thread may ask and count; one thread at a
// time adds. Pure.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/content_coding.hpp"

namespace pillion {

/// One of them: a head and a body, ready to be sent. Immutable, one block.
class EncodedForm {
 public:
  struct Free {
    void operator()(const EncodedForm* form) const noexcept;
  };
  using Ptr = std::unique_ptr<const EncodedForm, Free>;
  /// Copies. nullptr where one of them is of 4 GiB or more.
  static Ptr make(std::string_view head, std::string_view body);
  EncodedForm(const EncodedForm&) = delete;

  std::string_view head() const noexcept { return {reinterpret_cast<const char*>(this + 1), head_size_}; }
  std::string_view body() const noexcept { return {head().data() + head_size_, body_size_}; }
  /// All that it occupies, bytes.
  std::size_t footprint() const noexcept;

 private:
  EncodedForm(std::string_view head, std::string_view body) noexcept;
  std::size_t whole_size() const noexcept { return sizeof(EncodedForm) + head_size_ + body_size_; }
  std::uint32_t head_size_, body_size_;
};

class EncodedForms {
 public:
  /// So often one has to be wanted before it is made: what is asked for once or twice more isn't worth the work.
  static constexpr unsigned wishes_until_hot = 8;

  EncodedForms() = default;
  EncodedForms(const EncodedForms&) = delete;
  ~EncodedForms();

  /// nullptr where there is none; never for identity. What comes lives as long as this object.
  const EncodedForm* find(Coding coding) const noexcept {
    const std::uintptr_t state = state_.load(std::memory_order_acquire);
    return (state & counting) != 0 || coding == Coding::identity ? nullptr : find_made(state, coding);
  }
  /// Counts that one was wanted and wasn't there. True once, when that was often enough to make it.
  bool note_wish(Coding coding) noexcept;
  /// It wasn't made, for no fault of its own: counting begins anew.
  void forget_wishes(Coding coding) noexcept;
  /// What add() will take of memory for that form, bytes: its own and, of the first one, that of the list.
  std::size_t cost_of(const EncodedForm& form) const noexcept;
  /// By one thread at a time. False where one of that coding is there already.
  bool add(Coding coding, EncodedForm::Ptr form);
  /// All that stands here, bytes.
  std::size_t footprint() const noexcept;

 private:
  struct Made {
    std::array<std::atomic<const EncodedForm*>, coding_count> forms{};
    std::array<std::atomic<std::uint8_t>, coding_count> wishes{};
  };
  // Of most responses nothing is ever made: they have this one word. Bit 0 set: it counts, a byte a coding from bit 8
  // on. Else it is the address of what was made.
  static constexpr std::uintptr_t counting = 1;
  static constexpr unsigned shift_of(Coding coding) noexcept { return 8 + 8 * static_cast<unsigned>(coding); }
  static const EncodedForm* find_made(std::uintptr_t state, Coding coding) noexcept {
    return reinterpret_cast<const Made*>(state)->forms[static_cast<std::size_t>(coding)].load(
        std::memory_order_acquire);
  }
  Made& begin_list();
  static constexpr std::size_t list_cost = sizeof(Made) + 16;  // with what malloc adds

  std::atomic<std::uintptr_t> state_{counting};
};

}  // namespace pillion
