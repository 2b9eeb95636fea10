// The encoded forms of one stored response: one word until there is one. See encoded_forms.hpp.
#include "core/encoded_forms.hpp"

#include <cstring>
#include <limits>
#include <new>

#include "core/block_pool.hpp"

namespace pillion {

void EncodedForm::Free::operator()(const EncodedForm* form) const noexcept {
  const std::size_t size = form->whole_size();
  block_pool::free(const_cast<EncodedForm*>(form), size);
}

EncodedForm::EncodedForm(std::string_view head, std::string_view body) noexcept
    : head_size_(static_cast<std::uint32_t>(head.size())), body_size_(static_cast<std::uint32_t>(body.size())) {
  char* to = reinterpret_cast<char*>(this + 1);
  if (!head.empty()) std::memcpy(to, head.data(), head.size());
  if (!body.empty()) std::memcpy(to + head.size(), body.data(), body.size());
}

EncodedForm::Ptr EncodedForm::make(std::string_view head, std::string_view body) {
  constexpr std::size_t max_part = std::numeric_limits<std::uint32_t>::max();
  if (head.size() > max_part || body.size() > max_part) return nullptr;
  void* place = block_pool::allocate(sizeof(EncodedForm) + head.size() + body.size());
  return Ptr(new (place) EncodedForm(head, body));
}

std::size_t EncodedForm::footprint() const noexcept { return block_pool::taken(whole_size()); }

EncodedForms::~EncodedForms() {
  const std::uintptr_t state = state_.load(std::memory_order_acquire);
  if ((state & counting) != 0) return;
  Made* made = reinterpret_cast<Made*>(state);
  for (const auto& form : made->forms)
    if (const EncodedForm* last = form.load(std::memory_order_relaxed)) EncodedForm::Free()(last);
  delete made;
}

bool EncodedForms::note_wish(Coding coding) noexcept {
  if (coding == Coding::identity) return false;
  std::uintptr_t state = state_.load(std::memory_order_acquire);
  // Where two count at once one of them may be lost: it is no more than a measure.
  if ((state & counting) == 0) {
    std::atomic<std::uint8_t>& wishes = reinterpret_cast<Made*>(state)->wishes[static_cast<std::size_t>(coding)];
    std::uint8_t before = wishes.load(std::memory_order_relaxed);
    if (before >= wishes_until_hot) return false;
    return wishes.compare_exchange_strong(before, static_cast<std::uint8_t>(before + 1), std::memory_order_relaxed) &&
           before + 1u == wishes_until_hot;
  }
  const unsigned shift = shift_of(coding);
  const auto before = static_cast<unsigned>(state >> shift & 0xff);
  if (before >= wishes_until_hot) return false;
  return state_.compare_exchange_strong(state, state + (std::uintptr_t{1} << shift), std::memory_order_acq_rel) &&
         before + 1 == wishes_until_hot;
}

void EncodedForms::forget_wishes(Coding coding) noexcept {
  if (coding == Coding::identity) return;
  std::uintptr_t state = state_.load(std::memory_order_acquire);
  while ((state & counting) != 0) {
    const std::uintptr_t forgotten = state & ~(std::uintptr_t{0xff} << shift_of(coding));
    if (state_.compare_exchange_weak(state, forgotten, std::memory_order_acq_rel)) return;
  }
  reinterpret_cast<Made*>(state)->wishes[static_cast<std::size_t>(coding)].store(0, std::memory_order_relaxed);
}

std::size_t EncodedForms::cost_of(const EncodedForm& form) const noexcept {
  const bool first = (state_.load(std::memory_order_acquire) & counting) != 0;
  return form.footprint() + (first ? list_cost : 0);
}

EncodedForms::Made& EncodedForms::begin_list() {
  std::uintptr_t state = state_.load(std::memory_order_acquire);
  if ((state & counting) == 0) return *reinterpret_cast<Made*>(state);
  auto made = std::make_unique<Made>();
  do {
    for (std::size_t i = 0; i < coding_count; ++i) {
      const auto wishes = static_cast<std::uint8_t>(state >> shift_of(static_cast<Coding>(i)) & 0xff);
      made->wishes[i].store(wishes, std::memory_order_relaxed);
    }
  } while (
      !state_.compare_exchange_weak(state, reinterpret_cast<std::uintptr_t>(made.get()), std::memory_order_acq_rel));
  return *made.release();
}

bool EncodedForms::add(Coding coding, EncodedForm::Ptr form) {
  if (coding == Coding::identity || !form) return false;
  std::atomic<const EncodedForm*>& place = begin_list().forms[static_cast<std::size_t>(coding)];
  const EncodedForm* none = nullptr;
  if (!place.compare_exchange_strong(none, form.get(), std::memory_order_acq_rel)) return false;
  form.release();
  return true;
}

std::size_t EncodedForms::footprint() const noexcept {
  const std::uintptr_t state = state_.load(std::memory_order_acquire);
  if ((state & counting) != 0) return 0;
  std::size_t sum = list_cost;
  for (std::size_t i = 0; i < coding_count; ++i)
    if (const EncodedForm* form = find_made(state, static_cast<Coding>(i))) sum += form->footprint();
  return sum;
}

}  // namespace pillion
