// The encoded forms of a stored response.
#include "core/encoded_forms.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/stored_response.hpp"

using namespace pillion;

namespace {

constexpr unsigned hot = EncodedForms::wishes_until_hot;

/// How often one of `times` wishes says that it is time.
unsigned wish(EncodedForms& forms, Coding coding, unsigned times) {
  unsigned due = 0;
  for (unsigned i = 0; i < times; ++i) due += forms.note_wish(coding) ? 1u : 0u;
  return due;
}

}  // namespace

TEST_CASE("encoded forms: one is due once, when it was wanted often enough") {
  EncodedForms forms;
  CHECK(wish(forms, Coding::br, hot - 1) == 0);
  CHECK(wish(forms, Coding::gzip, hot - 1) == 0);  // each coding by itself
  CHECK(forms.note_wish(Coding::br));
  CHECK(wish(forms, Coding::br, 1000) == 0);
  CHECK(forms.note_wish(Coding::gzip));
  CHECK(wish(forms, Coding::identity, 1000) == 0);
  forms.forget_wishes(Coding::br);
  CHECK(wish(forms, Coding::gzip, 1000) == 0);
  CHECK(wish(forms, Coding::br, hot - 1) == 0);
  CHECK(forms.note_wish(Coding::br));
}

TEST_CASE("encoded forms: what was made is found, and counting goes on for the others") {
  EncodedForms forms;
  CHECK(wish(forms, Coding::gzip, hot - 1) == 0);
  CHECK(forms.find(Coding::zstd) == nullptr);
  CHECK(forms.footprint() == 0);
  auto form = EncodedForm::make("head", "body");
  const std::size_t cost = forms.cost_of(*form);
  CHECK(forms.add(Coding::zstd, std::move(form)));
  CHECK(forms.footprint() == cost);
  const EncodedForm* found = forms.find(Coding::zstd);
  REQUIRE(found != nullptr);
  CHECK(found->head() == "head");
  CHECK(found->body() == "body");
  CHECK(forms.find(Coding::gzip) == nullptr);
  CHECK(forms.find(Coding::identity) == nullptr);
  CHECK_FALSE(forms.add(Coding::zstd, EncodedForm::make("head", "another")));
  CHECK(forms.find(Coding::zstd) == found);
  CHECK(forms.note_wish(Coding::gzip));
  CHECK(wish(forms, Coding::gzip, 1000) == 0);
  auto second = EncodedForm::make({}, std::string(5000, 'x'));
  const std::size_t more = forms.cost_of(*second);
  CHECK(more == second->footprint());
  CHECK(forms.add(Coding::gzip, std::move(second)));
  CHECK(forms.footprint() == cost + more);
  forms.forget_wishes(Coding::br);
  CHECK(wish(forms, Coding::br, hot) == 1);
}

TEST_CASE("encoded forms: they count for the response that has them") {
  StoredParts parts;
  parts.body = "plain";
  const StoredResponsePtr response = StoredResponse::make(parts);
  const std::size_t before = response->footprint();
  auto form = EncodedForm::make("h", std::string(10'000, 'x'));
  const std::size_t cost = response->forms().cost_of(*form);
  response->forms().add(Coding::br, std::move(form));
  CHECK(response->footprint() == before + cost);
  CHECK(cost >= 10'000);
}

TEST_CASE("encoded forms: threads that count while one adds") {
  for (int round = 0; round < 50; ++round) {
    EncodedForms forms;
    std::atomic<unsigned> due{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 200; ++n) {
          if (forms.note_wish(Coding::gzip)) due.fetch_add(1);
          if (const EncodedForm* form = forms.find(Coding::br)) CHECK(form->body() == "body");
        }
      });
    }
    forms.add(Coding::br, EncodedForm::make("head", "body"));
    for (std::thread& thread : threads) thread.join();
    CHECK(due.load() == 1);
  }
}
