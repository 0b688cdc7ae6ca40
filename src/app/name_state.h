// What is known of a name over time: the members of the last answer that was good, when to ask
// again, and whether it is in trouble. Pure: time is passed in; main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/name_lookup.h"
#include "core/config_dns.h"
#include "core/instant.h"

namespace shunt::app {

class NameState {
 public:
  enum class News : uint8_t {
    kNone,
    kTrouble,  // It begins.
    kOver,     // It ends.
  };
  struct Outcome {
    News news = News::kNone;
    std::vector<Member> added;
    std::vector<Member> removed;
    bool changed = false;  // The members, or their weights alone.
  };

  // A lookup is over. Without any member found, those of before stay.
  Outcome take(Found found, Instant now, const config::Resolver& settings);

  const std::vector<Member>& members() const { return members_; }
  bool asked() const { return asked_; }                    // At least once, with any outcome.
  const std::string& trouble() const { return trouble_; }  // "": none.
  Instant due() const { return due_; }                     // When to ask (again).
  void ask_at(Instant due) { due_ = due; }

 private:
  std::vector<Member> members_;
  std::string trouble_;
  Instant due_{};
  Duration pause_{};  // Before the next try, while in trouble.
  bool asked_ = false;
};

}  // namespace shunt::app
